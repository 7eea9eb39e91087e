// The clocks of the load generators, and the times of round trips.

#ifndef TIMES_H
#define TIMES_H

#include <stdint.h>
#include <time.h>

/** Round-trip times, in steps of 1/32 of a power of two nanoseconds. */
enum { STEPS = 32, STEP_BITS = 5, TIMES = 64 * STEPS };
static long times[TIMES], timed;

static double clock_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static double now(void) { return clock_of(CLOCK_MONOTONIC); }

static void count_time(double seconds) {
  uint64_t ns = seconds * 1e9 + 1;
  int power = 63 - __builtin_clzll(ns);
  int step = power >= STEP_BITS ? (ns >> (power - STEP_BITS)) & (STEPS - 1) : 0;
  times[power * STEPS + step]++;
  timed++;
}

/** Microseconds that `share` of the round trips took at most. */
static double time_of(double share) {
  long left = timed * share;
  for (int i = 0; i < TIMES; i++) {
    left -= times[i];
    if (left < 0) return (double)(1ull << (i / STEPS)) * (1 + (i % STEPS + 1.0) / STEPS) / 1000;
  }
  return 0;
}

#endif
