// What the servers over epoll(7) in C have in common: one thread that accepts on a free port of 127.0.0.1, prints the port's number, and
// waits for level-triggered readiness. It ends when stdin closes, or on SIGTERM.

#ifndef EPOLL_H
#define EPOLL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, BACKLOG = 4096 };

static int epoll;
static int listener;

/** The program's own: a connection has come. Its descriptor does not block, and is watched for EPOLLIN. */
static void on_connection(int fd);
/** The program's own: a connection is ready for what it is watched for. */
static void on_ready(int fd);

static void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

static void watch(int operation, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(epoll, operation, fd, &event) < 0) die("epoll_ctl");
}

/** Takes as many descriptors as the system allows. Gives zeroed memory with `size` bytes for each. */
static void *take_descriptors(size_t size) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("setrlimit");
  void *memory = calloc(limit.rlim_max, size);
  if (memory == NULL) die("calloc");
  return memory;
}

static void on_listener(void) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0) {
      watch(EPOLL_CTL_ADD, fd, EPOLLIN);
      on_connection(fd);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      die("accept");
    }
  }
}

static void on_input(void) {
  char input[256];
  if (read(STDIN_FILENO, input, sizeof input) <= 0) exit(0);
}

static int listen_anywhere(void) {
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (listener < 0) die("socket");
  int one = 1; // which accepted connections inherit
  if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) die("setsockopt");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) < 0) die("bind");
  if (listen(listener, BACKLOG) < 0) die("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) die("getsockname");
  return ntohs(address.sin_port);
}

static void serve(void) {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) die("epoll_create1");
  int port = listen_anywhere();
  watch(EPOLL_CTL_ADD, listener, EPOLLIN);
  watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN);
  printf("%d\n", port);
  fflush(stdout);
  static struct epoll_event events[EVENTS];
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) on_listener();
      else if (fd == STDIN_FILENO) on_input();
      else on_ready(fd);
    }
  }
}

#endif
