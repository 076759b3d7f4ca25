/* SPDX-License-Identifier: MIT
 *
 * limiter.c - token buckets, as a behaviour: how often something may be done, counted for
 * all processes together.
 *
 * A bucket holds up to `burst` tokens and gains `rate` a second; whoever does the thing
 * acquires one or more first. Nothing runs by the clock: what a bucket has gained is worked
 * out when it is looked at, from the time that the owner recorded with the request. So the
 * same requests give the same answers again, at whatever time of day they are replayed.
 *
 *	buckets   key -> rate, burst, level, time    8 bytes each; level in millionths of a
 *	                                             token, as it was at `time` (microseconds)
 *
 *	cc -shared -fPIC -o limiter.so limiter.c
 *	sole-owner --behaviour ./limiter.so limits
 */
#include <sole/behaviour.h>

#include <stdlib.h>

/* So that a level in millionths fits into 64 bits with room to spare. */
enum { MOST = 1000000000, MILLION = 1000000 };

struct bucket {
	int64_t rate, burst, level, time;
};

static int load(struct sole_map *map, struct sole_value key, struct bucket *bucket)
{
	struct sole_value record;

	if (!sole_map_get(map, key, &record))
		return 0;
	const unsigned char *at = record.bytes;
	*bucket = (struct bucket){
		.rate = (int64_t)sole_number_of_key(at),
		.burst = (int64_t)sole_number_of_key(at + 8),
		.level = (int64_t)sole_number_of_key(at + 16),
		.time = (int64_t)sole_number_of_key(at + 24),
	};
	return 1;
}

static int store(struct sole_map *map, struct sole_value key, const struct bucket *bucket)
{
	unsigned char record[32];

	sole_key_number((uint64_t)bucket->rate, record);
	sole_key_number((uint64_t)bucket->burst, record + 8);
	sole_key_number((uint64_t)bucket->level, record + 16);
	sole_key_number((uint64_t)bucket->time, record + 24);
	return sole_map_put(map, key, sole_bytes(record, sizeof record));
}

/* Brings the level up to `now`. So many microseconds at so many tokens a second are just as
 * many millionths of a token: nothing is rounded, however often a bucket is looked at. */
static void fill(struct bucket *bucket, int64_t now)
{
	int64_t most = bucket->burst * MILLION, gained;

	if (__builtin_mul_overflow(now - bucket->time, bucket->rate, &gained) || gained > most - bucket->level)
		bucket->level = most;
	else
		bucket->level += gained;
	bucket->time = now;
}

/* Refuses unless the bucket is there; filled up to now. */
static int find(struct sole_call *call, struct bucket *bucket)
{
	if (!load(sole_call_context(call), sole_argument(call, 0), bucket))
		return sole_refuse(call, SOLE_CONFLICT, "there is no bucket of that name: configure it first");
	fill(bucket, sole_call_now(call));
	return SOLE_OK;
}

/* ---- operations ---- */

/* A new bucket is full; one that is there keeps what it holds, as far as it still may. */
static int limiter_configure(struct sole_call *call)
{
	struct sole_map *map = sole_call_context(call);
	struct sole_value key = sole_argument(call, 0);
	int64_t rate = sole_argument(call, 1).integer, burst = sole_argument(call, 2).integer;
	struct bucket bucket;

	if (rate < 0 || rate > MOST || burst < 1 || burst > MOST)
		return sole_refuse(call, SOLE_INVALID, "the rate is 0 to %d a second, the burst 1 to %d", MOST, MOST);
	int known = load(map, key, &bucket);
	if (known)
		fill(&bucket, sole_call_now(call));
	if (!known || bucket.level > burst * MILLION)
		bucket.level = burst * MILLION;
	bucket.rate = rate;
	bucket.burst = burst;
	bucket.time = sole_call_now(call);
	sole_emit(call, "configure", key, sole_integer(rate));
	return store(map, key, &bucket);
}

static int limiter_remove(struct sole_call *call)
{
	struct sole_map *map = sole_call_context(call);
	struct sole_value key = sole_argument(call, 0);
	struct bucket bucket;
	int known = load(map, key, &bucket);

	sole_answer(call, sole_integer(known));
	if (known)
		sole_emit(call, "remove", key, sole_none());
	return sole_map_remove(map, key);
}

/* All of `tokens` or none. A refusal tells after how many microseconds there will be enough. */
static int limiter_acquire(struct sole_call *call)
{
	int64_t tokens = sole_argument(call, 1).integer;
	struct bucket bucket;

	int code = find(call, &bucket);
	if (code != SOLE_OK)
		return code;
	if (tokens < 1 || tokens > bucket.burst)
		return sole_refuse(call, SOLE_INVALID, "this bucket gives 1 to %lld at once", (long long)bucket.burst);
	int64_t missing = tokens * MILLION - bucket.level;
	if (missing > 0 && bucket.rate == 0)
		return sole_refuse(call, SOLE_CONFLICT, "the bucket has too few tokens, and gains none");
	if (missing > 0) {
		int64_t wait = (missing + bucket.rate - 1) / bucket.rate;
		sole_refuse_detail(call, sole_integer(wait));
		return sole_refuse(call, SOLE_CONFLICT, "too few tokens: try again in %lld microseconds", (long long)wait);
	}
	bucket.level -= tokens * MILLION;
	sole_answer(call, sole_integer(bucket.level / MILLION));
	return store(sole_call_context(call), sole_argument(call, 0), &bucket);
}

static int limiter_inspect(struct sole_call *call)
{
	struct bucket bucket;
	int code = find(call, &bucket);

	if (code != SOLE_OK)
		return code;
	sole_answer(call, sole_integer(bucket.rate));
	sole_answer(call, sole_integer(bucket.burst));
	sole_answer(call, sole_integer(bucket.level / MILLION));
	return SOLE_OK;
}

/* ---- the whole ---- */

static const char *limiter_invariant(void *map)
{
	struct sole_value key = sole_none(), record;
	struct bucket bucket;

	while (sole_map_seek(map, key, 1, &key, &record))
		if (record.size != 32 || !load(map, key, &bucket) || bucket.rate < 0 || bucket.burst < 1 ||
		    bucket.level < 0 || bucket.level > bucket.burst * MILLION)
			return "a bucket holds less than nothing, or more than its burst";
	return NULL;
}

/* The map is all there is to know. */
static void *limiter_create(struct sole_store *maps)
{
	return sole_store_map(maps, "buckets");
}

#define BUCKET { "bucket", SOLE_FIELD_KEY }
#define INTEGER(name) { name, SOLE_FIELD_INTEGER }

static const struct sole_operation_entry operations[] = {
	{ 1, SOLE_IS_COMMAND, "configure", "makes or changes a bucket: tokens a second, and tokens at the most",
	  { BUCKET, INTEGER("rate"), INTEGER("burst") }, { { 0 } }, limiter_configure },
	{ 2, SOLE_IS_COMMAND, "remove", "removes a bucket; tells whether it was there",
	  { BUCKET }, { INTEGER("existed") }, limiter_remove },
	{ 3, SOLE_IS_COMMAND, "acquire", "takes tokens; refused, with the microseconds to wait, if too few",
	  { BUCKET, INTEGER("tokens") }, { INTEGER("left") }, limiter_acquire },
	{ 4, SOLE_IS_QUERY, "inspect", "rate and burst of a bucket, and the tokens in it",
	  { BUCKET }, { INTEGER("rate"), INTEGER("burst"), INTEGER("tokens") }, limiter_inspect },
};

const struct sole_behaviour sole_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "limiter",
	.version = 1,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = limiter_create,
	.invariant = limiter_invariant,
};
