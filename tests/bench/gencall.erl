%% SPDX-License-Identifier: MIT
%%
%% gencall.erl - the actor that people would use: a gen_server in one node that holds a map, and
%% callers in another, each with one gen_server:call under way.
%%
%%     erl ... -run gencall serve
%%     erl ... -run gencall ask NODE CALLERS KEYS MILLISECONDS
%%
%% `ask' prints `reads: N, writes: 0' and, in microseconds, p50 and p99 of all answers. The keys are
%% asked for in turn. Callers keep their times in lists of their own, which costs them next to nothing.
-module(gencall).
-behaviour(gen_server).
-export([serve/0, ask/1, init/1, handle_call/3, handle_cast/2]).

serve() ->
    {ok, _} = gen_server:start({local, owner}, ?MODULE, [], []).

init([]) ->
    {ok, #{}}.

handle_call({get, Key}, _From, State) ->
    {reply, maps:get(Key, State, none), State};
handle_call({put, Key, Value}, _From, State) ->
    {reply, ok, State#{Key => Value}}.

handle_cast(_, State) ->
    {noreply, State}.

ask([Node, Callers, Keys, Milliseconds]) ->
    Owner = {owner, list_to_atom(Node)},
    ok = reach(Owner, 500),
    [put_key(Owner, Key) || Key <- lists:seq(0, list_to_integer(Keys) - 1)],
    Me = self(),
    Go = make_ref(),
    Pids = [spawn_link(fun() -> caller(Me, Go, Owner, list_to_integer(Keys)) end)
            || _ <- lists:seq(1, list_to_integer(Callers))],
    Stop = erlang:monotonic_time(nanosecond) + list_to_integer(Milliseconds) * 1000000,
    [Pid ! {Go, Stop} || Pid <- Pids],
    Times = lists:sort(lists:append([receive {Pid, Some} -> Some end || Pid <- Pids])),
    Count = length(Times),
    io:format("reads: ~b, writes: 0~nlatency: p50 ~.2fus p99 ~.2fus~n",
              [Count, quantile(Times, Count, 0.5), quantile(Times, Count, 0.99)]),
    halt(0).

%% The other node may not be there yet.
reach(_, 0) ->
    io:format(standard_error, "gencall: the other node does not answer~n", []),
    halt(69);
reach({owner, Node} = Owner, Tries) ->
    try gen_server:call(Owner, {get, 0}) of
        _ -> ok
    catch
        exit:_ ->
            net_kernel:connect_node(Node),
            timer:sleep(20),
            reach(Owner, Tries - 1)
    end.

put_key(Owner, Key) ->
    ok = gen_server:call(Owner, {put, Key, Key}).

caller(Parent, Go, Owner, Keys) ->
    receive {Go, Stop} -> Parent ! {self(), loop(Owner, Keys, 0, Stop, [])} end.

loop(Owner, Keys, I, Stop, Times) ->
    Begun = erlang:monotonic_time(nanosecond),
    if
        Begun >= Stop ->
            Times;
        true ->
            Key = I rem Keys,
            Key = gen_server:call(Owner, {get, Key}),
            loop(Owner, Keys, I + 1, Stop, [erlang:monotonic_time(nanosecond) - Begun | Times])
    end.

quantile(Times, Count, Part) ->
    lists:nth(max(1, ceil(Count * Part)), Times) / 1000.
