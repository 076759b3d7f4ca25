/* SPDX-License-Identifier: MIT
 *
 * context.c - the one ZeroMQ context of the process.
 */
#include "clients/context.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

enum {
	SOCKETS_MAX = 16384,   /* three for a handle; descriptors run out before */
	START_DESCRIPTORS = 8, /* that a context and its first sockets take */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic uint64_t generation;
static void *context;
static size_t users;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	atomic_fetch_add(&generation, 1);
	context = NULL; /* the parent's: to touch it would be to wait for its threads */
	users = 0;
	pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

uint64_t context_generation(void)
{
	pthread_once(&once, watch_forks);
	return atomic_load_explicit(&generation, memory_order_relaxed);
}

/* libzmq 4.3.4 aborts the process when its threads, which the first socket starts, do not get
 * their descriptors. Looking first leaves that to the moment between, in other threads. */
static bool descriptors_left(void)
{
	int taken[START_DESCRIPTORS], count = 0, saved;

	while (count < START_DESCRIPTORS && (taken[count] = eventfd(0, EFD_CLOEXEC)) >= 0)
		count++;
	saved = errno;
	for (int i = 0; i < count; i++)
		close(taken[i]);
	errno = saved;
	return count == START_DESCRIPTORS;
}

static void *make_context(void)
{
	void *made = descriptors_left() ? zmq_ctx_new() : NULL;

	if (made != NULL)
		zmq_ctx_set(made, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
	return made;
}

void *context_socket(int type)
{
	sigset_t all, before;
	void *socket = NULL;

	pthread_once(&once, watch_forks);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&lock);
	if (context == NULL)
		context = make_context();
	if (context != NULL)
		socket = zmq_socket(context, type);
	int saved = errno;
	if (socket != NULL) {
		users++;
	} else if (context != NULL && users == 0) {
		zmq_ctx_term(context);
		context = NULL;
	}
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return socket;
}

void *context_extra_socket(int type)
{
	pthread_mutex_lock(&lock);
	void *socket = zmq_socket(context, type);
	pthread_mutex_unlock(&lock);
	return socket;
}

void context_release(void)
{
	pthread_mutex_lock(&lock);
	if (--users == 0) {
		/* Every socket is closed and lingers for nothing, so this only joins threads. */
		while (zmq_ctx_term(context) != 0 && errno == EINTR)
			;
		context = NULL;
	}
	pthread_mutex_unlock(&lock);
}
