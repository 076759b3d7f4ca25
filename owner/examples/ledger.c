/* SPDX-License-Identifier: MIT
 *
 * ledger.c - accounts of money, as a behaviour: nobody is ever overdrawn, and what all
 * accounts hold together is what was deposited less what was withdrawn.
 *
 * A refusal at any point undoes what the request has done by then, and so does a map that has no room:
 * no path here leaves half a transfer.
 *
 *	accounts  name    -> what it holds, 0 or more
 *	totals    "total" -> what they hold together
 *
 *	cc -shared -fPIC -o ledger.so ledger.c
 *	sole-owner --behaviour ./ledger.so bank
 */
#include <sole/behaviour.h>

#include <stdlib.h>

struct ledger {
	struct sole_map *accounts, *totals;
};

static struct ledger *ledger_of(const struct sole_call *call)
{
	return sole_call_context(call);
}

static int64_t total_of(const struct ledger *ledger)
{
	struct sole_value total;

	return sole_map_get(ledger->totals, sole_text("total"), &total) ? total.integer : 0;
}

/* Refuses unless the account is there. */
static int find(struct sole_call *call, struct sole_value account, int64_t *balance)
{
	struct sole_value found = sole_integer(0);
	int there = sole_map_get(ledger_of(call)->accounts, account, &found);

	*balance = found.integer;
	return there ? SOLE_OK : sole_refuse(call, SOLE_CONFLICT, "there is no such account: open it first");
}

/* Writes a balance, and tells watchers of the account. */
static int set(struct sole_call *call, struct sole_value account, int64_t balance)
{
	sole_emit(call, "balance", account, sole_integer(balance));
	return sole_map_put(ledger_of(call)->accounts, account, sole_integer(balance));
}

/* The last argument of those that take one. */
static int64_t amount_of(const struct sole_call *call)
{
	return sole_argument(call, sole_argument_count(call) - 1).integer;
}

static int check_amount(struct sole_call *call)
{
	return amount_of(call) > 0 ? SOLE_OK : sole_refuse(call, SOLE_INVALID, "an amount is 1 or more");
}

static int check_funds(struct sole_call *call, int64_t balance, int64_t amount)
{
	if (balance >= amount)
		return SOLE_OK;
	sole_refuse_detail(call, sole_integer(balance));
	return sole_refuse(call, SOLE_CONFLICT, "the account holds %lld, which is less", (long long)balance);
}

static int ledger_open(struct sole_call *call)
{
	struct sole_value account = sole_argument(call, 0), found;

	if (sole_map_get(ledger_of(call)->accounts, account, &found))
		return sole_refuse(call, SOLE_CONFLICT, "the account is open already");
	return set(call, account, 0);
}

/* Money comes in (amount > 0) or goes out. The total is kept within 64 bits, and no account holds
 * more than the total: that is why no other sum here can overflow. */
static int move(struct sole_call *call, int64_t amount)
{
	struct ledger *ledger = ledger_of(call);
	struct sole_value account = sole_argument(call, 0);
	int64_t balance, total = total_of(ledger);

	int code = find(call, account, &balance);
	if (code == SOLE_OK && amount < 0)
		code = check_funds(call, balance, -amount);
	if (code != SOLE_OK)
		return code;
	if (__builtin_add_overflow(total, amount, &total))
		return sole_refuse(call, SOLE_OVERFLOW, "all accounts together would hold more than 64 bits can tell");
	sole_answer(call, sole_integer(balance + amount));
	sole_map_put(ledger->totals, sole_text("total"), sole_integer(total));
	return set(call, account, balance + amount);
}

static int ledger_deposit(struct sole_call *call)
{
	return check_amount(call) == SOLE_OK ? move(call, amount_of(call)) : SOLE_INVALID;
}

static int ledger_withdraw(struct sole_call *call)
{
	return check_amount(call) == SOLE_OK ? move(call, -amount_of(call)) : SOLE_INVALID;
}

static int ledger_transfer(struct sole_call *call)
{
	struct sole_value from = sole_argument(call, 0), to = sole_argument(call, 1);
	int64_t amount = amount_of(call), paying, receiving;
	int code;

	/* The receiver is read after the payer is written: to oneself is a transfer like any other. */
	if ((code = check_amount(call)) != SOLE_OK || (code = find(call, from, &paying)) != SOLE_OK ||
	    (code = check_funds(call, paying, amount)) != SOLE_OK ||
	    (code = set(call, from, paying - amount)) != SOLE_OK || (code = find(call, to, &receiving)) != SOLE_OK)
		return code;
	return set(call, to, receiving + amount);
}

static int ledger_balance(struct sole_call *call)
{
	int64_t balance = 0;
	int code = find(call, sole_argument(call, 0), &balance);

	sole_answer(call, sole_integer(balance));
	return code;
}

static int ledger_total(struct sole_call *call)
{
	sole_answer(call, sole_integer(total_of(ledger_of(call))));
	sole_answer(call, sole_integer((int64_t)sole_map_count(ledger_of(call)->accounts)));
	return SOLE_OK;
}

/* ---- the whole ---- */

static const char *ledger_invariant(void *context)
{
	const struct ledger *ledger = context;
	struct sole_value name = sole_none(), balance;
	int64_t sum = 0;

	while (sole_map_seek(ledger->accounts, name, 1, &name, &balance)) {
		if (balance.integer < 0)
			return "an account is overdrawn";
		if (__builtin_add_overflow(sum, balance.integer, &sum))
			return "the accounts hold more than 64 bits can tell";
	}
	return sum == total_of(ledger) ? NULL : "the accounts do not hold what was deposited";
}

static void *ledger_create(struct sole_store *store)
{
	struct ledger *ledger = malloc(sizeof *ledger); /* handles only: all that changes is in the maps */

	if (ledger != NULL)
		*ledger = (struct ledger){ sole_store_map(store, "accounts"), sole_store_map(store, "totals") };
	return ledger;
}

#define ACCOUNT(name) { name, SOLE_FIELD_KEY }
#define INTEGER(name) { name, SOLE_FIELD_INTEGER }

static const struct sole_operation_entry operations[] = {
	{ 1, SOLE_IS_COMMAND, "open", "opens an account that holds nothing",
	  { ACCOUNT("account") }, { { 0 } }, ledger_open },
	{ 3, SOLE_IS_COMMAND, "deposit", "puts money from outside into an account",
	  { ACCOUNT("account"), INTEGER("amount") }, { INTEGER("balance") }, ledger_deposit },
	{ 4, SOLE_IS_COMMAND, "withdraw", "takes money out of an account; refused if it holds less",
	  { ACCOUNT("account"), INTEGER("amount") }, { INTEGER("balance") }, ledger_withdraw },
	{ 5, SOLE_IS_COMMAND, "transfer", "moves money between accounts; refused if the first holds less",
	  { ACCOUNT("from"), ACCOUNT("to"), INTEGER("amount") }, { { 0 } }, ledger_transfer },
	{ 6, SOLE_IS_QUERY, "balance", "what an account holds",
	  { ACCOUNT("account") }, { INTEGER("balance") }, ledger_balance },
	{ 7, SOLE_IS_QUERY, "total", "what all accounts hold together, and how many there are",
	  { { 0 } }, { INTEGER("total"), INTEGER("accounts") }, ledger_total },
};

const struct sole_behaviour sole_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "ledger",
	.version = 1,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = ledger_create,
	.destroy = free,
	.invariant = ledger_invariant,
};
