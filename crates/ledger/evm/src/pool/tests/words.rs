//! Refusals, word for word as geth v1.16.7 says them.

use alloy_consensus::{TxEip2930, TxEip7702};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};

use super::*;

fn with_input(sender: Address, gas_limit: u64, input: Vec<u8>) -> Arc<EvmTx> {
    let tx = TxLegacy { gas_limit, ..legacy(sender, 0, 10, input.into()) };
    signed(tx.into_signed(signature()), sender)
}

#[test]
fn what_a_transaction_proves_by_itself() {
    let mut bench = Bench::new();
    let sender = who(0);
    let mut bad = |change: fn(&mut TxEip1559), words: &str| {
        let mut tx = TxEip1559 {
            chain_id: CHAIN_ID,
            gas_limit: 21_000,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(sender),
            ..TxEip1559::default()
        };
        change(&mut tx);
        bench.refuses(&signed(tx.into_signed(signature()), sender), words);
    };
    bad(|tx| tx.chain_id = 1, "invalid sender: invalid chain id for signer: have 1 want 31337");
    bad(|tx| tx.max_priority_fee_per_gas = 11, "max priority fee per gas higher than max fee per gas");
    bad(|tx| tx.nonce = u64::MAX, "nonce has max value");
    bad(|tx| tx.gas_limit = 20_999, "intrinsic gas too low: gas 20999, minimum needed 21000");
    bad(|tx| tx.gas_limit = (1 << 24) + 1, "transaction gas limit too high (cap: 16777216, tx: 16777217)");
    bad(
        |tx| tx.max_priority_fee_per_gas = 0,
        "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
    );
    bad(
        |tx| {
            tx.to = TxKind::Create;
            tx.gas_limit = 10_000_000;
            tx.input = vec![0; 49_153].into();
        },
        "max initcode size exceeded: code size 49153, limit 49152",
    );
}

#[test]
fn gas_of_the_data_and_its_floor() {
    let mut bench = Bench::new();
    // EIP-2028: 16 a byte; EIP-7623: at least 40.
    let words = "intrinsic gas too low: gas 21015, minimum needed 21016";
    bench.refuses(&with_input(who(0), 21_015, vec![1]), words);
    let words = "insufficient gas for floor data gas cost: gas 24999, minimum needed 25000";
    bench.refuses(&with_input(who(0), 24_999, vec![1; 100]), words);
    bench.takes(&with_input(who(0), 25_000, vec![1; 100]));
    let large = with_input(who(1), 10_000_000, vec![0; 131_073]);
    let refused = bench.submit(&large).unwrap_err();
    assert!(refused.starts_with("oversized data: transaction size ") && refused.ends_with("limit 131072"));
    bench.terms.gas_limit = 100_000;
    bench.refuses(&with_input(who(1), 100_001, Vec::new()), "exceeds block gas limit");
}

#[test]
fn a_chains_own_limit_on_gas_holds_under_every_fork() {
    let mut bench = Bench::new();
    let mut config = ChainConfig::up_to(CHAIN_ID, Fork::Prague);
    assert_eq!(Terms::at(&config, &head()).transaction_gas_max, None);
    config.limits.transaction_gas_max = Some(50_000);
    bench.terms = Terms { base_fee: 7, ..Terms::at(&config, &head()) };
    let words = "transaction gas limit too high (cap: 50000, tx: 50001)";
    bench.refuses(&with_input(who(0), 50_001, Vec::new()), words);
    bench.takes(&with_input(who(0), 50_000, Vec::new()));
}

#[test]
fn types_wait_for_their_forks() {
    let sender = who(0);
    let access = TxEip2930 {
        chain_id: CHAIN_ID,
        gas_price: 10,
        gas_limit: 21_000,
        to: TxKind::Call(sender),
        ..TxEip2930::default()
    };
    let access = signed(access.into_signed(signature()), sender);
    let dynamic = transfer(sender, 0, (10, 2), 0);
    let delegating = delegating(sender, 0, &[]);
    let not_yet = |tx: &Arc<EvmTx>, fork: Fork, words: &str| {
        let mut bench = Bench::new();
        bench.terms.fork = fork;
        bench.refuses(tx, &format!("transaction type not supported: {words}"));
    };
    not_yet(&access, Fork::Istanbul, "type 1 rejected, pool not yet in Berlin");
    not_yet(&dynamic, Fork::Istanbul, "type 2 rejected, pool not yet in Berlin");
    not_yet(&dynamic, Fork::Berlin, "type 2 rejected, pool not yet in London");
    not_yet(&delegating, Fork::Cancun, "type 4 rejected, pool not yet in Prague");
    let mut bench = Bench::new();
    bench.takes(&access);
    bench.refuses(&delegating, "set code tx must have at least one authorization tuple");
}

#[test]
fn signatures_must_be_low_and_fit_a_key() {
    let mut bench = Bench::new();
    let high = Signature::new(U256::ONE, U256::MAX - U256::from(1) - (U256::ONE << 128), false);
    let tx = TxEip1559 { chain_id: CHAIN_ID, gas_limit: 21_000, max_fee_per_gas: 9, ..TxEip1559::default() };
    let tx = Arc::new(EvmTx::new(tx.into_signed(high).into()));
    bench.refuses(&tx, "invalid sender: invalid transaction v, r, s values");
}

#[test]
fn nonces_known_and_funds() {
    let mut bench = Bench::new();
    bench.account(0).nonce = 5;
    bench.account(0).balance = U256::from(1_000_000);
    bench.refuses(&transfer(who(0), 4, (10, 2), 0), "nonce too low: next nonce 5, tx nonce 4");
    let poor = "insufficient funds for gas * price + value";
    let words = format!("{poor}: balance 1000000, tx cost 1000001, overshot 1");
    bench.refuses(&transfer(who(0), 5, (10, 2), 790_001), &words);
    let first = transfer(who(0), 5, (10, 2), 390_000);
    bench.takes(&first);
    bench.refuses(&first, "already known");
    let words = format!("{poor}: balance 1000000, queued cost 600000, tx cost 400001, overshot 1");
    bench.refuses(&transfer(who(0), 6, (10, 2), 190_001), &words);
    bench.takes(&transfer(who(0), 6, (10, 2), 90_000));
    let words = format!("{poor}: balance 1000000, queued cost 900000, tx bumped 100001, overshot 1");
    bench.refuses(&transfer(who(0), 5, (11, 3), 469_001), &words);
    bench.refuses(&transfer(who(0), 5, (10, 3), 0), "replacement transaction underpriced");
    bench.refuses(&transfer(who(0), 5, (11, 2), 0), "replacement transaction underpriced");
    let admission = bench.takes(&transfer(who(0), 5, (11, 3), 0));
    assert_eq!(admission.removed, [chainwright_chain::TxId(first.hash().0)]);
}

#[test]
fn a_replacement_offers_a_tenth_more_of_both() {
    let mut bench = Bench::new();
    bench.takes(&transfer(who(0), 0, (1000, 100), 0));
    for (fee_cap, tip) in [(1099, 110), (1100, 109), (2000, 100), (1000, 200)] {
        bench.refuses(&transfer(who(0), 0, (fee_cap, tip), 1), "replacement transaction underpriced");
    }
    bench.takes(&transfer(who(0), 0, (1100, 110), 1));
}

/// A transaction of type 4 with authorizations of these keys' owners.
fn delegating(sender: Address, nonce: u64, list: &[SignedAuthorization]) -> Arc<EvmTx> {
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 10,
        max_priority_fee_per_gas: 2,
        to: sender,
        authorization_list: list.to_vec(),
        ..TxEip7702::default()
    };
    signed(tx.into_signed(signature()), sender)
}

/// An authorization by whoever the signature fits, and who that is.
fn authorization(number: u64) -> (SignedAuthorization, Address) {
    let inner = Authorization { chain_id: U256::from(CHAIN_ID), address: who(9), nonce: number };
    // Some x coordinates are of no point.
    let signed = (1..20_u64)
        .map(|r| inner.clone().into_signed(Signature::new(U256::from(r), U256::from(number + 1), false)));
    let mut found = signed.filter_map(|one| one.recover_authority().ok().map(|who| (one, who)));
    found.next().unwrap()
}

#[test]
fn a_delegated_account_has_one_transaction_at_a_time() {
    let mut bench = Bench::new();
    bench.account(0).has_code = true;
    bench.refuses(&transfer(who(0), 1, (10, 2), 0), "gapped-nonce tx from delegated accounts");
    bench.takes(&transfer(who(0), 0, (10, 2), 0));
    let words = "in-flight transaction limit reached for delegated accounts";
    bench.refuses(&transfer(who(0), 1, (10, 2), 0), words);
    bench.takes(&transfer(who(0), 0, (20, 4), 0));
}

#[test]
fn a_pooled_authorization_counts_as_a_delegation() {
    let mut bench = Bench::new();
    let (signed, authority) = authorization(1);
    bench.world.0.insert(authority, *bench.world.0.get(&who(0)).unwrap());
    let tx = delegating(who(0), 0, &[signed]);
    bench.takes(&tx);
    bench.takes(&transfer(authority, 0, (10, 2), 0));
    let words = "in-flight transaction limit reached for delegated accounts";
    bench.refuses(&transfer(authority, 1, (10, 2), 0), words);
    // Once it is in a block the account is free again, as far as the pool goes.
    bench.account(0).nonce = 1;
    bench.follow(&[], &[tx], 11);
    bench.takes(&transfer(authority, 1, (10, 2), 0));
}

#[test]
fn an_account_with_several_transactions_is_not_delegated() {
    let mut bench = Bench::new();
    let (signed, authority) = authorization(2);
    bench.world.0.insert(authority, *bench.world.0.get(&who(0)).unwrap());
    for nonce in 0..2 {
        bench.takes(&transfer(authority, nonce, (10, 2), 0));
    }
    bench.refuses(&delegating(who(0), 0, &[signed]), "authority already reserved");
}
