//! The chain laws on every cell: `CHAINWRIGHT_SEEDS` seeds of each, 50 unless it says otherwise.

use chainwright_sim::{Cell, LEAST, cells, run};

#[track_caller]
fn check_laws<C: Cell>() {
    let seeds =
        std::env::var("CHAINWRIGHT_SEEDS").map_or(50, |text| text.parse().expect("a number of seeds"));
    for seed in 0..seeds {
        match run::<C>(seed) {
            Ok(report) => assert!(report.counts.reaches(&LEAST), "seed {seed} counts too little: {report:?}"),
            Err(error) => panic!(
                "{error}\nagain: cargo run -p chainwright-sim --bin laws -- --cell {} --seed {seed}",
                C::NAME
            ),
        }
    }
}

#[test]
fn utxo_under_proof_of_work_keeps_the_laws() {
    check_laws::<cells::UtxoOnPow>();
}

#[test]
fn utxo_under_one_key_keeps_the_laws() {
    check_laws::<cells::UtxoOnSolo>();
}

#[test]
fn names_under_proof_of_work_keep_the_laws() {
    check_laws::<cells::NamesOnPow>();
}

#[test]
fn names_under_one_key_keep_the_laws() {
    check_laws::<cells::NamesOnSolo>();
}

#[test]
fn contracts_under_proof_of_work_keep_the_laws() {
    check_laws::<cells::EvmOnPow>();
}

#[test]
fn contracts_under_one_key_keep_the_laws() {
    check_laws::<cells::EvmOnSolo>();
}

/// Law L10: the whole run, every message and head, follows from the seed.
#[test]
fn the_same_seed_leaves_the_same_trace() {
    for seed in 100..103 {
        assert_eq!(run::<cells::UtxoOnPow>(seed), run::<cells::UtxoOnPow>(seed));
        assert_eq!(run::<cells::NamesOnSolo>(seed), run::<cells::NamesOnSolo>(seed));
        assert_ne!(run::<cells::NamesOnPow>(seed), run::<cells::NamesOnPow>(seed + 1));
    }
}
