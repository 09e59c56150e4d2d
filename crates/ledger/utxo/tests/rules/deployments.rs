//! Votes of miners, by time and by height.

use chainwright_utxo::params::{Clock, Deployment, DeploymentState, Parameters, bitcoin_regtest};

use crate::chain::{Chain, anyone};
use crate::spend::remade;

const SIGNAL: i32 = 0x3000_0000;
const SILENT: i32 = 0x2000_0000;

fn chain_with(clock: Clock, activation_height_min: u32) -> Chain {
    let parameters = bitcoin_regtest();
    let deployment = Deployment {
        clock,
        activation_height_min,
        period: 10,
        threshold: 8,
        ..parameters.deployments[0].clone()
    };
    Chain::new(Parameters { deployments: vec![deployment], ..parameters })
}

fn mine(chain: &mut Chain, count: usize, version: i32) {
    for _ in 0..count {
        chain.now += 1;
        let mut block = remade(chain.build(&anyone()), |_| {});
        block.header.version = version;
        chain.connect(block).expect("votes are free");
    }
}

/// The state that holds for the next block.
#[track_caller]
fn check_state(chain: &Chain, state: DeploymentState) {
    let deployment = &chain.ledger.parameters.deployments[0];
    assert_eq!(chain.ledger.deployments.state(deployment, &chain.head.headers), state);
}

#[test]
fn a_rule_is_voted_in() {
    let mut chain = chain_with(Clock::Height { start: 10, timeout: 100 }, 35);
    check_state(&chain, DeploymentState::Defined);
    mine(&mut chain, 9, SIGNAL);
    check_state(&chain, DeploymentState::Started);
    assert_eq!(chain.build(&anyone()).header.version, SIGNAL, "templates signal");
    mine(&mut chain, 8, SIGNAL);
    let deployment = chain.ledger.parameters.deployments[0].clone();
    let signalling = chain.ledger.deployments.signalling(&deployment, &chain.head.headers);
    let statistics = signalling.statistics.unwrap();
    assert_eq!((statistics.elapsed, statistics.count, statistics.possible), (8, 8, true));
    mine(&mut chain, 2, SILENT);
    check_state(&chain, DeploymentState::LockedIn);
    mine(&mut chain, 10, SILENT);
    check_state(&chain, DeploymentState::LockedIn);
    mine(&mut chain, 10, SILENT);
    check_state(&chain, DeploymentState::Active);
    assert_eq!(chain.build(&anyone()).header.version, SILENT);
    mine(&mut chain, 5, SILENT);
    let signalling = chain.ledger.deployments.signalling(&deployment, &chain.head.headers);
    assert_eq!((signalling.state, signalling.since), (DeploymentState::Active, 40));
}

#[test]
fn a_vote_fails_when_its_time_is_over() {
    let start = 1_296_688_602 + 5;
    let mut chain = chain_with(Clock::Time { start, timeout: start + 20 }, 0);
    mine(&mut chain, 9, SIGNAL);
    check_state(&chain, DeploymentState::Started);
    mine(&mut chain, 7, SIGNAL);
    mine(&mut chain, 3, SILENT);
    check_state(&chain, DeploymentState::Started);
    mine(&mut chain, 10, SILENT);
    check_state(&chain, DeploymentState::Failed);
    mine(&mut chain, 20, SIGNAL);
    check_state(&chain, DeploymentState::Failed);
}

#[test]
fn branches_vote_for_themselves() {
    let mut chain = chain_with(Clock::Height { start: 0, timeout: 1_000 }, 0);
    mine(&mut chain, 9, SILENT);
    mine(&mut chain, 10, SIGNAL);
    check_state(&chain, DeploymentState::LockedIn);
    chain.reorganise(10, Vec::new());
    mine(&mut chain, 10, SILENT);
    check_state(&chain, DeploymentState::Started);
}
