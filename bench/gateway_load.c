/* The load of bench/gateway.py: short connections through a gateway, and what is behind it.
 *
 *   gateway_load echo PORT                                  echoes; a thread for each connection
 *   gateway_load run PORT CLIENTS SECONDS WARM [TOKEN]      each client in turn: connect, show the token and await 200,
 *                                                           send 64 bytes and have them back, close
 *
 * "run" prints "ready" after the warm-up, waits for a line on standard input, and prints how many connections it made.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int port;
static const char *token = "";
static volatile int stage; /* 0 warming up, 1 counting, 2 over */
static long made, failed;

static void *echo(void *argument) {
    int fd = (int)(long)argument;
    char data[4096];
    ssize_t n;
    while ((n = recv(fd, data, sizeof data, 0)) > 0)
        if (send(fd, data, n, MSG_NOSIGNAL) != n)
            break;
    close(fd);
    return NULL;
}

static int serve(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0)
        return perror("echo"), 1;
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, &small, echo, (void *)(long)fd) != 0)
            close(fd);
    }
}

static int read_whole(int fd, char *data, size_t wanted) {
    for (size_t got = 0; got < wanted;) {
        ssize_t n = recv(fd, data + got, wanted - got, 0);
        if (n <= 0)
            return 0;
        got += n;
    }
    return 1;
}

static int once(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char line[1100], block[64] = "0123456789abcdef", back[64];
    int one = 1, good = 0, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        good = 1;
        if (*token) {
            int length = snprintf(line, sizeof line, "%s\n", token);
            good = send(fd, line, length, MSG_NOSIGNAL) == length && read_whole(fd, back, 3) && !memcmp(back, "200", 3);
        }
        good = good && send(fd, block, 64, MSG_NOSIGNAL) == 64 && read_whole(fd, back, 64) && !memcmp(back, block, 64);
    }
    shutdown(fd, SHUT_WR);
    if (good)
        good = recv(fd, back, 1, 0) == 0; /* the other side closes too, and keeps no port of ours */
    close(fd);
    return good;
}

static void *client(void *argument) {
    (void)argument;
    while (stage < 2) {
        int good = once();
        if (stage == 1)
            __atomic_add_fetch(good ? &made : &failed, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void rest(double seconds) {
    struct timespec for_ = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&for_, NULL);
}

int main(int count, char **arguments) {
    if (count < 3)
        return 2;
    port = atoi(arguments[2]);
    if (!strcmp(arguments[1], "echo"))
        return serve();
    if (count < 6)
        return 2;
    int clients = atoi(arguments[3]);
    if (count > 6)
        token = arguments[6];
    pthread_t threads[clients];
    for (int i = 0; i < clients; i++)
        pthread_create(&threads[i], NULL, client, NULL);
    rest(atof(arguments[5]));
    puts("ready");
    fflush(stdout);
    getchar();
    stage = 1;
    rest(atof(arguments[4]));
    stage = 2;
    for (int i = 0; i < clients; i++)
        pthread_join(threads[i], NULL);
    printf("%ld %ld\n", made, failed);
    return 0;
}
