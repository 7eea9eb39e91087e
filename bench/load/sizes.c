// sizes: an epoll load generator for messages of any size and for one-way streams, with the times of round trips.
//
// usage: sizes MODE PORT CONNECTIONS BYTES SECONDS
//
//   echo  keeps CONNECTIONS open; each sends BYTES, waits until they have come back, and sends again
//   pour  the server streams: each connection sends BYTES as 4 bytes, little-endian, and the server answers with chunks of BYTES
//         without an end; a message is BYTES received
//   sink  each connection sends chunks of BYTES without an end; a message is BYTES that the kernel has taken
//
// Ends after SECONDS and a message, when stdin closes, or on SIGTERM; then prints one JSON object. p50 and p99 are microseconds of
// a round trip, 0 in the other modes. What comes back is counted and not looked at.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "times.h"

enum mode { ECHO, POUR, SINK };
static const char *const mode_names[] = {"echo", "pour", "sink"};

enum { EVENTS = 256, MAX_BYTES = 1 << 20, MAX_CONNECTIONS = 1000, PIECE = 1 << 18, TURNS = 16 };

struct connection {
  int fd;
  bool connected;
  long sent, received;
  double started;
};

static enum mode mode;
static long size;
static int epoll_fd;
static struct connection connections[MAX_CONNECTIONS];
static char message[MAX_BYTES], heard[PIECE];
static double total;
static volatile sig_atomic_t stopped;

static void die(const char *what) {
  fprintf(stderr, "sizes: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void stop(int signal) {
  (void)signal;
  stopped = 1;
}

static void dial(struct connection *c, int port) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) die("socket");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) die("connect");
  struct epoll_event interest = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &interest) < 0) die("epoll_ctl");
}

/** Sends the rest of a message, as far as the kernel takes it. */
static void push(struct connection *c) {
  while (c->sent < size) {
    ssize_t n = send(c->fd, message + c->sent, size - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) die("send");
    c->sent += n;
  }
}

static void say(struct connection *c) {
  c->sent = c->received = 0;
  c->started = now();
  push(c);
}

static void on_connected(struct connection *c) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) die("getsockopt");
  if (error != 0) {
    errno = error;
    die("connect");
  }
  c->connected = true;
  if (mode == POUR) {
    uint32_t asked = htole32(size);
    if (send(c->fd, &asked, sizeof asked, MSG_NOSIGNAL) != sizeof asked) die("send");
  } else if (mode == ECHO) {
    say(c);
  } else {
    // Level-triggered: a connection yields to the others after some chunks.
    struct epoll_event interest = {.events = EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &interest) < 0) die("epoll_ctl");
  }
}

static void on_writable(struct connection *c) {
  if (mode == ECHO) push(c);
  if (mode != SINK) return;
  for (int i = 0; i < TURNS && !stopped; i++) {
    long before = c->sent;
    push(c);
    total += c->sent - before;
    if (c->sent < size) return;
    c->sent = 0;
  }
}

static void on_readable(struct connection *c) {
  ssize_t n;
  do {
    n = recv(c->fd, heard, sizeof heard, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n == 0) errno = ECONNRESET;
    if (n <= 0) die("recv");
    total += n;
    c->received += n;
    if (mode == ECHO && c->received >= size) {
      count_time(now() - c->started);
      say(c);
    }
  } while (n == sizeof heard && !stopped);
}

int main(int count, char **arguments) {
  bool known = false;
  if (count == 6)
    for (mode = ECHO; mode <= SINK && !known; mode++) known = strcmp(arguments[1], mode_names[mode]) == 0;
  if (!known) {
    fprintf(stderr, "usage: sizes echo|pour|sink PORT CONNECTIONS BYTES SECONDS\n");
    return 2;
  }
  mode--;
  int port = atoi(arguments[2]);
  int wanted = atoi(arguments[3]);
  size = atol(arguments[4]);
  double seconds = atof(arguments[5]);
  if (size < 1 || size > MAX_BYTES || wanted < 1 || wanted > MAX_CONNECTIONS) {
    fprintf(stderr, "sizes: BYTES must be 1 to %d, and CONNECTIONS 1 to %d\n", MAX_BYTES, MAX_CONNECTIONS);
    return 2;
  }
  signal(SIGTERM, stop);
  memset(message, 'm', sizeof message);
  epoll_fd = epoll_create1(0);
  if (epoll_fd < 0) die("epoll_create1");
  // Fails where stdin is a file, which does not close: that is as well.
  struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &input);
  double started = now();
  for (int i = 0; i < wanted; i++) dial(&connections[i], port);
  while (!stopped && (now() < started + seconds || total < size)) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll_fd, events, EVENTS, 50);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      char byte;
      if (c == NULL) {
        if (read(STDIN_FILENO, &byte, 1) == 0) stopped = 1;
        continue;
      }
      if (!c->connected) on_connected(c);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
      if (events[i].events & EPOLLOUT) on_writable(c);
    }
  }
  printf("{\"messages\":%.3f,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"p50\":%.3f,\"p99\":%.3f}\n", total / size,
         now() - started, clock_of(CLOCK_PROCESS_CPUTIME_ID), time_of(0.5), time_of(0.99));
  return 0;
}
