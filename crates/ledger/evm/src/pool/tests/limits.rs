//! Limits: who goes when there is too much.

use proptest::prelude::*;

use super::*;

fn small() -> Bench {
    let mut bench = Bench::new();
    bench.policy = PoolPolicy {
        account_slots: 2,
        global_slots: 6,
        account_queue: 3,
        global_queue: 4,
        ..PoolPolicy::default()
    };
    bench
}

#[test]
fn the_account_with_most_gives_way_and_a_few_are_everybodys() {
    let mut bench = small();
    for nonce in 0..6 {
        bench.takes(&transfer(who(0), nonce, (20, 2), 0));
    }
    bench.refuses(&transfer(who(0), 6, (20, 2), 0), "txpool is full");
    for nonce in 0..2 {
        assert_eq!(bench.takes(&transfer(who(1), nonce, (20, 2), 0)).removed.len(), 1);
    }
    assert_eq!(bench.pool.pending_nonce(&who(0)), Some(4));
    assert_eq!(bench.pool.status().pending, 6);
}

#[test]
fn what_waits_behind_a_gap_is_limited_by_account_and_in_all() {
    let mut bench = small();
    for nonce in 2..5 {
        bench.takes(&transfer(who(0), nonce, (20, 2), 0));
    }
    bench.refuses(&transfer(who(0), 9, (20, 2), 0), "account limit exceeded: pooled 3 txs");
    // An earlier nonce is worth more than a later one.
    assert_eq!(bench.takes(&transfer(who(0), 1, (20, 2), 0)).removed.len(), 1);
    bench.now = Timestamp(NOW.0 + 10);
    bench.takes(&transfer(who(1), 7, (20, 2), 0));
    // The account that has waited longest gives way.
    assert_eq!(bench.takes(&transfer(who(1), 8, (20, 2), 0)).removed.len(), 1);
    assert_eq!(bench.pool.content_from(&who(0)).queued[&who(0)].len(), 2);
    assert_eq!(bench.pool.status().queued, 4);
}

#[test]
fn what_would_be_the_first_to_go_is_refused() {
    let with = |counts: [u64; 3]| {
        let mut bench = small();
        for (number, count) in (0..).zip(counts) {
            (0..count).for_each(|nonce| drop(bench.takes(&transfer(who(number), nonce, (20, 2), 0))));
        }
        bench
    };
    // Of two crowds alike the one of the higher address gives way.
    with([3, 2, 1]).refuses(&transfer(who(1), 2, (20, 2), 0), "txpool is full");
    let last = transfer(who(1), 2, (20, 2), 0);
    assert_eq!(with([2, 3, 1]).takes(&transfer(who(0), 2, (20, 2), 0)).removed, [last.id()]);
    // An account that has been quiet for long is the first of those that wait.
    let mut bench = with([1, 0, 0]);
    bench.now = Timestamp(NOW.0 + 10);
    for (number, nonce) in [(1, 2), (1, 3), (1, 4), (2, 2)] {
        bench.takes(&transfer(who(number), nonce, (20, 2), 0));
    }
    bench.refuses(&transfer(who(0), 5, (20, 2), 0), "txpool is full");
}

#[test]
fn a_full_pool_takes_what_pays_more_and_drops_what_pays_least() {
    let mut bench = small();
    bench.policy.bytes_max = transfer(who(0), 0, (20, 2), 0).raw().len() * 3 + 5;
    for (number, fee_cap) in [(0, 20), (1, 15), (2, 30)] {
        bench.takes(&transfer(who(number), 0, (fee_cap, 2), 0));
    }
    bench.refuses(&transfer(who(3), 0, (15, 2), 0), "transaction underpriced");
    let words = "future transaction tries to replace pending";
    bench.refuses(&transfer(who(3), 1, (50, 2), 0), words);
    assert_eq!(bench.takes(&transfer(who(3), 0, (16, 2), 0)).removed.len(), 1);
    assert_eq!(bench.pool.pending_nonce(&who(1)), None, "the cheapest is gone");
    // A replacement takes the place of what it replaces.
    bench.takes(&transfer(who(3), 0, (40, 4), 0));
    assert_eq!(bench.pool.status().pending, 3);
}

#[test]
fn what_waits_too_long_is_dropped() {
    let mut bench = Bench::new();
    bench.takes(&transfer(who(0), 0, (20, 2), 0));
    bench.takes(&transfer(who(0), 5, (20, 2), 0));
    bench.takes(&transfer(who(1), 5, (20, 2), 0));
    bench.pool.policy = bench.policy;
    bench.pool.expire_queued(Timestamp(NOW.0 + 3 * 60 * 60));
    assert_eq!(bench.pool.status().queued, 2);
    bench.pool.expire_queued(Timestamp(NOW.0 + 3 * 60 * 60 + 1));
    bench.audit();
    assert_eq!((bench.pool.status().pending, bench.pool.status().queued), (1, 0));
}

#[test]
fn a_dropped_transaction_leaves_a_gap() {
    let mut bench = Bench::new();
    let txs: Vec<_> = (0..4).map(|nonce| transfer(who(0), nonce, (20, 2), 0)).collect();
    for tx in &txs {
        drop(bench.takes(tx));
    }
    assert!(bench.pool.drop_transaction(&txs[1].hash()) && !bench.pool.drop_transaction(&txs[1].hash()));
    bench.audit();
    assert_eq!((bench.pool.status().pending, bench.pool.status().queued), (1, 2));
    assert!(bench.pool.is_queued(&txs[2].hash()) && !bench.pool.is_queued(&txs[0].hash()));
    bench.takes(&txs[1]);
    assert_eq!(bench.pool.pending_nonce(&who(0)), Some(4));
    bench.pool.clear();
    bench.audit();
    assert!(bench.pool.in_order().is_empty());
}

#[test]
fn a_lower_gas_limit_and_a_new_fork_drop_what_does_not_fit() {
    let mut bench = Bench::new();
    let heavy = signed(legacy(who(0), 0, 10, Bytes::new()).into_signed(signature()), who(0));
    bench.takes(&heavy);
    bench.takes(&transfer(who(1), 0, (20, 2), 0));
    bench.terms.gas_limit = 999_999;
    bench.follow(&[], &[], 11);
    assert_eq!(bench.pool.in_order(), [transfer(who(1), 0, (20, 2), 0)]);
    bench.terms.fork = Fork::Berlin;
    bench.follow(&[], &[], 12);
    assert!(bench.pool.in_order().is_empty(), "no dynamic fees before London");
}

proptest! {
    #[test]
    fn limits_hold_whatever_comes(
        offers in proptest::collection::vec((0..4_u8, 0..9_u64, 1..40_u128), 1..80),
    ) {
        let mut bench = small();
        bench.policy.bytes_max = 1200;
        for (number, nonce, fee) in offers {
            let _ = bench.submit(&transfer(who(number), nonce, (fee, fee), 0));
            let (pool, policy) = (&bench.pool, &bench.policy);
            prop_assert!(pool.totals.bytes <= policy.bytes_max);
            prop_assert!(pool.totals.queued <= policy.global_queue);
            for account in pool.accounts.values() {
                prop_assert!(account.queued() <= policy.account_queue);
                let is_fair = pool.totals.pending <= policy.global_slots || account.pending() <= policy.account_slots;
                prop_assert!(is_fair);
            }
        }
    }
}

/// A block of 2,000 transfers must not look at 100,000 accounts that wait: far less than a scan would take.
#[test]
fn a_block_costs_what_it_changes() {
    let mut bench = Bench::new();
    bench.policy = PoolPolicy::development();
    let address = |number: u32| Address::left_padding_from(&(number + 1).to_be_bytes());
    let rich = *bench.world.0.get(&who(0)).unwrap();
    for number in 0..20_000 {
        bench.world.0.insert(address(number), rich);
        let tx = transfer(address(number), 0, (20, 2), 0);
        bench.pool.submit_to(&bench_judge(&bench.terms, &bench.policy, &bench.world), tx, false).unwrap();
    }
    let started = std::time::Instant::now();
    for round in 0..10_u32 {
        let who = address(round);
        let state = AccountState { nonce: 1, ..rich };
        let change =
            Change { left: Vec::new(), joined: Vec::new(), touched: HashMap::from([(who, state)]), now: NOW };
        bench.pool.follow(bench.terms.clone(), &bench.policy, &change, &bench.world).unwrap();
    }
    let small = started.elapsed();
    assert_eq!(bench.pool.status().pending, 20_000 - 10);
    let started = std::time::Instant::now();
    assert_eq!(bench.pool.in_order().len(), 20_000 - 10);
    let scan = started.elapsed();
    assert!(small < scan, "ten blocks of one transaction took {small:?}, looking at all once {scan:?}");
}

fn bench_judge<'a>(terms: &'a Terms, policy: &'a PoolPolicy, accounts: &'a World) -> Judge<'a> {
    Judge { terms, policy, accounts, now: NOW }
}
