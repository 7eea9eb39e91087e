// echo-liburing: the echo server in C, as one writes it with liburing: one thread, one ring, one multishot accept, a
// multishot receive for each connection, and sends straight from the buffers that were received into.
//
// usage: echo-liburing
//
// Listens on a free port of 127.0.0.1 and prints its number. Ends when stdin closes, or on SIGTERM.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 4096, COMPLETIONS = 16384, BACKLOG = 4096, NONE = -1 };
// The starts of buffers whose size is no multiple of a page's compete for different cache lines.
enum { BUFFERS = 1024, BUFFER_SIZE = 4096 + 64, GROUP = 0 };
enum operation { ACCEPT, RECEIVE, SEND, CLOSE, INPUT };

/** What a buffer holds that was received and must be sent. */
struct piece {
  int length, sent;
  int next; // of the same connection
};

struct connection {
  int first, last; // pieces; the first one is being sent
  bool receiving;  // or waiting for a buffer to receive into
  bool broken;     // nothing more can be sent
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static char *bytes;
static struct piece pieces[BUFFERS]; // by buffer
static int out, returned;            // buffers that are not the kernel's, and that it has not been told of yet
static struct connection *connections; // by descriptor
static int *starved, starving;         // descriptors whose receive found no buffer
static int listener;
static char input;

static void die(const char *what, int error) {
  fprintf(stderr, "echo-liburing: %s: %s\n", what, strerror(error));
  exit(1);
}

static char *start_of(int buffer) { return bytes + (size_t)buffer * BUFFER_SIZE; }

static struct io_uring_sqe *entry(enum operation operation, int fd) {
  struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
  while (sqe == NULL) {
    int result = io_uring_submit(&ring);
    if (result < 0 && result != -EBUSY && result != -EINTR) die("submit", -result);
    sqe = io_uring_get_sqe(&ring);
  }
  // The preparations leave user_data as it is.
  io_uring_sqe_set_data64(sqe, (__u64)operation << 32 | (unsigned)fd);
  return sqe;
}

static void start_accept(void) { io_uring_prep_multishot_accept(entry(ACCEPT, listener), listener, NULL, NULL, 0); }

static void start_receive(int fd) {
  struct io_uring_sqe *sqe = entry(RECEIVE, fd);
  io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = GROUP;
}

static void start_send(int fd) {
  int buffer = connections[fd].first;
  const struct piece *p = &pieces[buffer];
  io_uring_prep_send(entry(SEND, fd), fd, start_of(buffer) + p->sent, p->length - p->sent, MSG_NOSIGNAL);
}

static void start_input(void) { io_uring_prep_read(entry(INPUT, STDIN_FILENO), STDIN_FILENO, &input, 1, 0); }

/** Puts a buffer into the ring; the kernel sees it at the end of the batch. */
static void give_back(int buffer) {
  int mask = io_uring_buf_ring_mask(BUFFERS);
  io_uring_buf_ring_add(buffer_ring, start_of(buffer), BUFFER_SIZE, buffer, mask, returned++);
  out--;
}

static void close_if_over(int fd) {
  struct connection *c = &connections[fd];
  if (c->receiving || c->first != NONE) return;
  struct io_uring_sqe *sqe = entry(CLOSE, fd);
  io_uring_prep_close(sqe, fd);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void on_accept(int result, unsigned flags) {
  if (result >= 0) {
    connections[result] = (struct connection){.first = NONE, .last = NONE, .receiving = true};
    start_receive(result);
  } else if (result != -ECONNABORTED && result != -EINTR) {
    die("accept", -result);
  }
  if (!(flags & IORING_CQE_F_MORE)) start_accept();
}

/** Sends one piece of a connection at a time, so that they stay in order. */
static void enqueue(int fd, int buffer, int length) {
  struct connection *c = &connections[fd];
  pieces[buffer] = (struct piece){.length = length, .next = NONE};
  if (c->first == NONE) {
    c->first = c->last = buffer;
    start_send(fd);
  } else {
    pieces[c->last].next = buffer;
    c->last = buffer;
  }
}

static void on_receive(int fd, int result, unsigned flags) {
  struct connection *c = &connections[fd];
  if (flags & IORING_CQE_F_BUFFER) {
    int buffer = flags >> IORING_CQE_BUFFER_SHIFT;
    out++;
    if (result > 0 && !c->broken) enqueue(fd, buffer, result);
    else give_back(buffer);
  }
  if (flags & IORING_CQE_F_MORE) return;
  if (result > 0) {
    start_receive(fd);
  } else if (result == -ENOBUFS) {
    starved[starving++] = fd;
  } else {
    c->receiving = false;
    close_if_over(fd);
  }
}

static void on_send(int fd, int result) {
  struct connection *c = &connections[fd];
  int buffer = c->first;
  if (result < 0) {
    c->broken = true;
    shutdown(fd, SHUT_RDWR); // ends the receive
    for (; buffer != NONE; buffer = pieces[buffer].next) give_back(buffer);
    c->first = NONE;
  } else {
    pieces[buffer].sent += result;
    if (pieces[buffer].sent == pieces[buffer].length) {
      c->first = pieces[buffer].next;
      give_back(buffer);
    }
    if (c->first != NONE) start_send(fd);
  }
  close_if_over(fd);
}

static void on_completion(const struct io_uring_cqe *cqe) {
  int fd = (int)cqe->user_data;
  switch ((enum operation)(cqe->user_data >> 32)) {
    case ACCEPT: on_accept(cqe->res, cqe->flags); break;
    case RECEIVE: on_receive(fd, cqe->res, cqe->flags); break;
    case SEND: on_send(fd, cqe->res); break;
    case CLOSE: die("close", -cqe->res); break;
    case INPUT:
      if (cqe->res <= 0) exit(0);
      start_input();
  }
}

/** The kernel gets the buffers of this batch, and those who had found none try again. */
static void end_batch(void) {
  io_uring_buf_ring_advance(buffer_ring, returned);
  returned = 0;
  if (out == BUFFERS) return;
  while (starving > 0) start_receive(starved[--starving]);
}

static void run(void) {
  for (;;) {
    int result = io_uring_submit_and_wait(&ring, 1);
    if (result < 0 && result != -EINTR && result != -EBUSY) die("wait", -result);
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
      on_completion(cqe);
      count++;
    }
    io_uring_cq_advance(&ring, count);
    end_batch();
  }
}

static void open_ring(void) {
  struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = COMPLETIONS};
  params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN;
  int result = io_uring_queue_init_params(ENTRIES, &ring, &params);
  if (result < 0) die("set up a ring", -result);
  result = io_uring_register_ring_fd(&ring);
  if (result < 0) die("register the ring", -result);
}

static void *pages(size_t size) {
  void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) die("mmap", errno);
  return start;
}

static void open_buffers(void) {
  bytes = pages((size_t)BUFFERS * BUFFER_SIZE);
  buffer_ring = pages(BUFFERS * sizeof(struct io_uring_buf));
  struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = GROUP};
  registration.ring_addr = (__u64)(uintptr_t)buffer_ring;
  int result = io_uring_register_buf_ring(&ring, &registration, 0);
  if (result < 0) die("register buffers", -result);
  io_uring_buf_ring_init(buffer_ring);
  out = BUFFERS;
  for (int i = 0; i < BUFFERS; i++) give_back(i);
}

/** Takes as many descriptors as the system allows, and room for what we know of each. */
static void take_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("getrlimit", errno);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("setrlimit", errno);
  connections = calloc(limit.rlim_max, sizeof *connections);
  starved = calloc(limit.rlim_max, sizeof *starved);
  if (connections == NULL || starved == NULL) die("calloc", errno);
}

static int listen_anywhere(void) {
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0) die("socket", errno);
  int one = 1; // which accepted connections inherit
  if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) die("setsockopt", errno);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) < 0) die("bind", errno);
  if (listen(listener, BACKLOG) < 0) die("listen", errno);
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) die("getsockname", errno);
  return ntohs(address.sin_port);
}

int main(void) {
  take_descriptors();
  open_ring();
  open_buffers();
  int port = listen_anywhere();
  start_accept();
  start_input();
  end_batch();
  printf("%d\n", port);
  fflush(stdout);
  run();
}
