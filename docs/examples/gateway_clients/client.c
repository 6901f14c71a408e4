/* Connect through a proxymux gateway.  Copy it into your own program.
 *
 *     cc -o client client.c && ./client GATEWAY_HOST GATEWAY_PORT TOKEN < request
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket that is connected to the target of the token, or -1, with the gateway's answer in status. */
int gateway_connect(const char *host, const char *port, const char *token, char status[4])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *each;
    char line[1026];
    int fd = -1, length = snprintf(line, sizeof line, "%s\n", token), got = 0;

    memset(status, 0, 4);
    if (length >= (int)sizeof line || getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    for (each = found; each != NULL && fd < 0; each = each->ai_next) {
        fd = socket(each->ai_family, each->ai_socktype, 0);
        if (fd >= 0 && connect(fd, each->ai_addr, each->ai_addrlen) != 0) {
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
    if (strcmp(status, "200") == 0)
        return fd;
    close(fd);
    return -1;
}

int main(int count, char **arguments)
{
    char status[4], data[65536];
    ssize_t size;
    int fd = count == 4 ? gateway_connect(arguments[1], arguments[2], arguments[3], status) : -1;

    if (fd < 0)
        return fprintf(stderr, "the gateway answers %s\n", count == 4 ? status : "nothing"), 1;
    while ((size = read(0, data, sizeof data)) > 0)
        if (send(fd, data, size, MSG_NOSIGNAL) != size)
            return 1;
    shutdown(fd, SHUT_WR);
    while ((size = recv(fd, data, sizeof data, 0)) > 0)
        if (write(1, data, size) != size)
            return 1;
    return 0;
}
