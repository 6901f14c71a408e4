/* Connect through a proxymux gateway.  Copy it into your own program.
 *
 *     cc -o client client.c && ./client GATEWAY_HOST GATEWAY_PORT TOKEN < request
 */
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Let connecting, sending and receiving take so long at most; 0 is for ever. */
static void limit(int fd, int seconds)
{
    struct timeval time = {.tv_sec = seconds};

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

/* A socket that is connected to the target of the token, or -1, with the gateway's answer, if any, in status. */
int gateway_connect(const char *host, const char *port, const char *token, char status[4])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *each;
    char line[1026];
    int fd = -1, length = snprintf(line, sizeof line, "%s\n", token), got = 0;

    memset(status, 0, 4);
    if (length >= (int)sizeof line || getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    for (each = found; each != NULL && fd < 0; each = each->ai_next) {
        if ((fd = socket(each->ai_family, each->ai_socktype, 0)) < 0)
            continue;
        limit(fd, 30);
        if (connect(fd, each->ai_addr, each->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        return -1;
    if (send(fd, line, length, MSG_NOSIGNAL) == length) /* and read not one byte more: what follows is the target's */
        while (got < 3 && recv(fd, status + got, 1, 0) == 1)
            got++;
    limit(fd, 0);
    if (strcmp(status, "200") == 0)
        return fd;
    close(fd);
    return -1;
}

int main(int count, char **arguments)
{
    char status[4] = "", data[65536];
    ssize_t size = -1;
    int fd = count == 4 ? gateway_connect(arguments[1], arguments[2], arguments[3], status) : -1;
    pid_t sender;

    if (fd < 0)
        return fprintf(stderr, "the gateway answers %s\n", *status ? status : "nothing"), 1;
    if ((sender = fork()) == 0) { /* one process sends while the other receives */
        while ((size = read(0, data, sizeof data)) > 0 && send(fd, data, size, MSG_NOSIGNAL) == size)
            ;
        _exit(shutdown(fd, SHUT_WR) != 0); /* half-close goes through the gateway */
    }
    if (sender > 0) {
        while ((size = recv(fd, data, sizeof data, 0)) > 0 && write(1, data, size) == size)
            ;
        kill(sender, SIGTERM);
    }
    return size != 0;
}
