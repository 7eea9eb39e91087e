// tls: an epoll load generator for TLS servers on loopback, over OpenSSL.
//
// usage: tls MODE PORT CONNECTIONS BYTES SECONDS
//
//   echo    keeps CONNECTIONS open; each sends BYTES, waits until they have come back, and sends again
//   new     the same, but a connection carries one message and is closed, and another takes its place
//   resume  the same, and each new connection resumes the TLS session of the one in whose place it is
//   idle    opens all CONNECTIONS, prints a line when they stand, and holds them
//
// Ends after SECONDS and a message, when stdin closes, or on SIGTERM; then prints one JSON object. p50 and p99 are microseconds of
// a round trip, of new and resume from the connect to the answer. The server's certificate is not checked. What comes back is
// counted and not looked at.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "times.h"

enum mode { ECHO, NEW, RESUME, IDLE };
static const char *const mode_names[] = {"echo", "new", "resume", "idle"};

enum { EVENTS = 256, MAX_BYTES = 1 << 20, MAX_CONNECTIONS = 20000, PIECE = 1 << 16, SOURCES = 200 };

struct connection {
  int fd;
  SSL *ssl;
  /** What the next connection in this place resumes. */
  SSL_SESSION *session;
  bool secured;
  long sent, received;
  double started;
};

static enum mode mode;
static int port;
static long size;
static int epoll_fd;
static SSL_CTX *context;
static struct connection connections[MAX_CONNECTIONS];
static char message[MAX_BYTES], heard[PIECE];
static long messages, dialled, secured, resumed;
static volatile sig_atomic_t stopped;

static void die(const char *what) {
  fprintf(stderr, "tls: %s: %s\n", what, strerror(errno));
  exit(1);
}

/** Whether a call of OpenSSL only has to wait for the socket. Ends the program for any other failure. */
static bool waits(SSL *ssl, int result, const char *what) {
  int error = SSL_get_error(ssl, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
  fprintf(stderr, "tls: %s: ", what);
  if (ERR_peek_error() == 0) fprintf(stderr, "the server has ended the connection (%d)\n", error);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void stop(int signal) {
  (void)signal;
  stopped = 1;
}

static void dial(struct connection *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) die("socket");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  // Closed connections stay in TIME_WAIT for a while: the source addresses take turns, so that ports do not run out.
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in source = {.sin_family = AF_INET};
  source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + dialled++ % SOURCES);
  if (bind(c->fd, (struct sockaddr *)&source, sizeof source) < 0) die("bind");
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->started = now();
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) die("connect");
  c->ssl = SSL_new(context);
  if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) die("SSL_new");
  SSL_set_connect_state(c->ssl);
  if (c->session != NULL) {
    SSL_set_session(c->ssl, c->session);
    SSL_SESSION_free(c->session);
    c->session = NULL;
  }
  c->secured = false;
  struct epoll_event interest = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &interest) < 0) die("epoll_ctl");
}

static void hang_up(struct connection *c) {
  SSL_shutdown(c->ssl);
  if (mode == RESUME) c->session = SSL_get1_session(c->ssl);
  SSL_free(c->ssl);
  close(c->fd);
}

/** Sends the rest of a message, as far as the kernel takes it. */
static void push(struct connection *c) {
  while (c->sent < size) {
    int n = SSL_write(c->ssl, message + c->sent, size - c->sent);
    if (n <= 0 && waits(c->ssl, n, "SSL_write")) return;
    c->sent += n;
  }
}

static void say(struct connection *c) {
  c->sent = c->received = 0;
  push(c);
}

/** The socket can be read or written. */
static void turn(struct connection *c) {
  if (!c->secured) {
    int result = SSL_do_handshake(c->ssl);
    if (result != 1 && waits(c->ssl, result, "SSL_do_handshake")) return;
    c->secured = true;
    secured++;
    resumed += SSL_session_reused(c->ssl);
    if (mode != IDLE) say(c);
  } else if (mode != IDLE) {
    push(c);
  }
  while (!stopped) {
    int n = SSL_read(c->ssl, heard, sizeof heard);
    if (n <= 0 && waits(c->ssl, n, "SSL_read")) return;
    c->received += n;
    if (mode == IDLE || c->received < size) continue;
    count_time(now() - c->started);
    messages++;
    if (mode != ECHO) {
      hang_up(c);
      dial(c);
      return;
    }
    c->started = now();
    say(c);
  }
}

int main(int count, char **arguments) {
  bool known = false;
  if (count == 6)
    for (mode = ECHO; mode <= IDLE && !known; mode++) known = strcmp(arguments[1], mode_names[mode]) == 0;
  if (!known) {
    fprintf(stderr, "usage: tls echo|new|resume|idle PORT CONNECTIONS BYTES SECONDS\n");
    return 2;
  }
  mode--;
  port = atoi(arguments[2]);
  int wanted = atoi(arguments[3]);
  size = atol(arguments[4]);
  double seconds = atof(arguments[5]);
  if (size < 1 || size > MAX_BYTES || wanted < 1 || wanted > MAX_CONNECTIONS) {
    fprintf(stderr, "tls: BYTES must be 1 to %d, and CONNECTIONS 1 to %d\n", MAX_BYTES, MAX_CONNECTIONS);
    return 2;
  }
  signal(SIGTERM, stop);
  signal(SIGPIPE, SIG_IGN);
  memset(message, 'm', sizeof message);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("setrlimit");
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) die("SSL_CTX_new");
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A record is read by one call; but then each connection keeps a buffer.
  if (mode == IDLE) SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  else SSL_CTX_set_read_ahead(context, 1);
  epoll_fd = epoll_create1(0);
  if (epoll_fd < 0) die("epoll_create1");
  // Fails where stdin is a file, which does not close: that is as well.
  struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &input);
  double started = now();
  for (int i = 0; i < wanted; i++) dial(&connections[i]);
  bool told = mode != IDLE;
  while (!stopped && (now() < started + seconds || (mode != IDLE && messages == 0))) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll_fd, events, EVENTS, 50);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      char byte;
      if (events[i].data.ptr != NULL) turn(events[i].data.ptr);
      else if (read(STDIN_FILENO, &byte, 1) == 0) stopped = 1;
    }
    if (!told && secured == wanted) {
      printf("{\"started\":%.9f}\n", started);
      fflush(stdout);
      told = true;
    }
  }
  printf("{\"messages\":%ld,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"p50\":%.3f,\"p99\":%.3f,\"resumed\":%ld}\n", messages,
         now() - started, clock_of(CLOCK_PROCESS_CPUTIME_ID), time_of(0.5), time_of(0.99), resumed);
  return 0;
}
