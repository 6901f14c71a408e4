/* A load generator of one thread. See load.py for how it is run.
 *
 *   load kept  PORT CONNECTIONS SECONDS WARM_SECONDS         each connection asks again as soon as it is answered
 *   load paced PORT CONNECTIONS SECONDS WARM_SECONDS RATE    RATE requests/s in all, whatever the answers do
 *   load fresh PORT CONNECTIONS SECONDS WARM_SECONDS         every request on a connection of its own
 *
 * It prints "ready" after the warm-up, waits for a line on standard input, runs, prints one JSON object, and keeps its
 * connections until standard input ends: whoever reads the CPU time of the proxy sees neither set-up nor tear-down.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define KEPT_REQUEST "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
#define FRESH_REQUEST "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
#define NS 1000000000ull

static const struct timeval PATIENCE = {.tv_sec = 10};

enum mode { KEPT, PACED, FRESH };

struct connection {
    int fd;
    size_t got;
    uint64_t began;
};

static enum mode mode;
static int port, count, poller;
static double rate;
static struct connection *connections;
static size_t reply_length;
static uint32_t *latencies; /* in units of 100 ns */
static size_t recorded, room;
static uint64_t errors, busy;
static int *idle; /* a ring: the connection that has rested longest is used next */
static int idle_first, idle_count;

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * NS + at.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void record(uint64_t nanoseconds) {
    if (recorded == room) {
        room = room ? room * 2 : 1 << 20;
        latencies = realloc(latencies, room * sizeof *latencies);
        if (!latencies)
            fail("memory");
    }
    uint64_t units = nanoseconds / 100;
    latencies[recorded++] = units > UINT32_MAX ? UINT32_MAX : units;
}

static int dial(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    /* A proxy that takes no connection, or does not answer on one, is found out. */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &PATIENCE, sizeof PATIENCE);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &PATIENCE, sizeof PATIENCE);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void ask(struct connection *c, uint64_t began) {
    const char *request = mode == FRESH ? FRESH_REQUEST : KEPT_REQUEST;
    c->got = 0;
    c->began = began;
    busy++;
    if (send(c->fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
        fail("send");
}

/* The first reply says how long each of them is: the origin always says the same. */
static void learn_length(int fd) {
    char text[4096];
    size_t have = 0;
    for (;;) {
        ssize_t n = recv(fd, text + have, sizeof text - 1 - have, 0);
        if (n <= 0)
            fail("first reply");
        have += n;
        text[have] = 0;
        char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "Content-Length:");
        if (!end || !length)
            continue;
        reply_length = end + 4 - text + atoi(length + 15);
        if (have >= reply_length)
            return;
    }
}

static void first_exchange(struct connection *c) {
    char text[4096];
    ask(c, now());
    if (!reply_length)
        learn_length(c->fd);
    else
        for (size_t got = 0; got < reply_length;) {
            ssize_t n = recv(c->fd, text, sizeof text, 0);
            if (n <= 0)
                fail("first reply of a connection");
            got += n;
        }
    busy--;
}

static void watch(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("epoll_ctl");
}

static void begin_fresh(struct connection *c) {
    uint64_t began = now();
    c->fd = dial();
    watch(c);
    ask(c, began);
}

static void rest(struct connection *c) {
    idle[(idle_first + idle_count++) % count] = c - connections;
}

static void answered(struct connection *c, uint64_t at, int going_on) {
    record(at - c->began);
    busy--;
    if (mode == PACED)
        rest(c);
    else if (going_on)
        ask(c, at);
}

static void readable(struct connection *c, int going_on) {
    char text[4096];
    ssize_t n = recv(c->fd, text, sizeof text, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        c->got += n;
        if (mode != FRESH && c->got == reply_length)
            answered(c, now(), going_on);
        return;
    }
    if (mode != FRESH) {
        fprintf(stderr, "load: a kept connection was closed\n");
        exit(1);
    }
    if (n < 0 || c->got != reply_length)
        errors++;
    else
        record(now() - c->began);
    busy--;
    close(c->fd);
    c->fd = -1;
    if (going_on)
        begin_fresh(c);
}

/* Sends what is due; returns nanoseconds until the next is, or -1 while no connection is free. */
static int64_t send_due(uint64_t *due, uint64_t until) {
    while (*due < until) {
        uint64_t at = now();
        if (*due > at)
            return *due - at;
        if (!idle_count)
            return -1;
        struct connection *c = &connections[idle[idle_first]];
        idle_first = (idle_first + 1) % count;
        idle_count--;
        ask(c, *due);
        *due += (uint64_t)(-log(1 - drand48()) / rate * NS) + 1;
    }
    return -1;
}

static double run(double seconds) {
    struct epoll_event events[256];
    uint64_t began = now(), until = began + (uint64_t)(seconds * NS), due = began, last = began;
    recorded = 0;
    errors = 0;
    if (mode != PACED)
        for (int i = 0; i < count; i++) {
            if (mode == FRESH)
                begin_fresh(&connections[i]);
            else
                ask(&connections[i], now());
        }
    for (;;) {
        int64_t wait = mode == PACED ? send_due(&due, until) : -1;
        int going_on = mode == PACED ? due < until : now() < until;
        if (!going_on && !busy)
            break;
        if (wait < 0 || wait > (int64_t)NS / 10)
            wait = NS / 10;
        struct timespec at_most = {.tv_nsec = wait};
        int n = epoll_pwait2(poller, events, 256, &at_most, NULL);
        if (n < 0 && errno != EINTR)
            fail("epoll_pwait2");
        for (int i = 0; i < n; i++)
            readable(events[i].data.ptr, going_on && now() < until);
        last = now();
        if (last > until + 10 * NS) {
            fprintf(stderr, "load: %llu requests were not answered\n", (unsigned long long)busy);
            exit(1);
        }
    }
    return (double)(last - began) / NS;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile(double q) {
    return recorded ? latencies[(size_t)(q * (recorded - 1))] / 10.0 : 0;
}

/* How many latencies are in each bucket that is not empty; 16 buckets make an octave. load.py says what is in which. */
static void print_buckets(void) {
    printf("\"buckets\": [");
    for (size_t i = 0, first = 0; i < recorded; first = i) {
        int bucket = (int)(16 * log2(latencies[i] + 1.0));
        while (i < recorded && (int)(16 * log2(latencies[i] + 1.0)) == bucket)
            i++;
        printf("%s[%d, %zu]", first ? ", " : "", bucket, i - first);
    }
    printf("]");
}

int main(int argc, char **argv) {
    char line[16];
    if (argc < 6) {
        fprintf(stderr, "usage: load kept|paced|fresh PORT CONNECTIONS SECONDS WARM_SECONDS [RATE]\n");
        return 2;
    }
    mode = !strcmp(argv[1], "paced") ? PACED : !strcmp(argv[1], "fresh") ? FRESH : KEPT;
    port = atoi(argv[2]);
    count = atoi(argv[3]);
    rate = argc > 6 ? atof(argv[6]) : 0;
    /* The same arrivals for every proxy. */
    srand48(1);
    /* Without this the kernel may be 50 microseconds late with every timeout. */
    prctl(PR_SET_TIMERSLACK, 1);
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(count, sizeof *connections);
    idle = calloc(count, sizeof *idle);
    if (poller < 0 || !connections || !idle)
        fail("set-up");
    if (mode == FRESH) {
        /* Several reads may bring one reply, so how long it is must be known beforehand. */
        struct connection probe = {.fd = dial()};
        first_exchange(&probe);
        close(probe.fd);
    } else
        for (int i = 0; i < count; i++) {
            connections[i].fd = dial();
            first_exchange(&connections[i]);
            watch(&connections[i]);
            rest(&connections[i]);
        }
    run(atof(argv[5]));
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 0;
    double seconds = run(atof(argv[4]));
    qsort(latencies, recorded, sizeof *latencies, by_size);
    printf("{\"done\": %zu, \"errors\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, ",
           recorded, (unsigned long long)errors, seconds, quantile(0.5), quantile(0.99), quantile(0.999));
    print_buckets();
    puts("}");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        ;
    return 0;
}
