//! Who is paid: beneficiaries, ommers, withdrawals, and collectors of the base fee.

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, U256, address};
use chainwright_evm::config::{ChainConfig, DaoFork, Fork};
use chainwright_evm::execute::{Executor, block_reward};

use crate::chain::{ALICE, BOB, MINER, chain, ether, tx};

const COLLECTOR: Address = address!("000000000000000000000000000000000000c0ff");

fn balance(config: &ChainConfig, header: &Header, ommers: &[Header], of: Address) -> U256 {
    let (evm, parent) = chain(|own| *own = config.clone());
    let executor = Executor::new(config, header, evm.overlay(&parent)).unwrap();
    let mut finished = executor.finish(ommers, None).unwrap();
    finished.overlay.account(of).unwrap().map_or(U256::ZERO, |row| row.balance)
}

#[test]
fn rewards_follow_the_forks() {
    let ether_of = |fork| block_reward(fork) / 1_000_000_000_000_000_000;
    assert_eq!(ether_of(Fork::Frontier), 5);
    assert_eq!(ether_of(Fork::SpuriousDragon), 5);
    assert_eq!(ether_of(Fork::Byzantium), 3);
    assert_eq!(ether_of(Fork::Constantinople), 2);
    assert_eq!(ether_of(Fork::GrayGlacier), 2);
    assert_eq!(ether_of(Fork::Paris), 0);
}

#[test]
fn ommers_pay_their_maker_and_whoever_names_them() {
    let config = ChainConfig::up_to(1, Fork::Byzantium);
    let header = Header { number: 10, beneficiary: MINER, ..Header::default() };
    let ommer = |number, beneficiary| Header { number, beneficiary, ..Header::default() };
    let ommers = [ommer(9, COLLECTOR), ommer(4, BOB)];
    let paid = |of| balance(&config, &header, &ommers, of);
    assert_eq!(paid(MINER), ether(3) + ether(3) / U256::from(32) * U256::from(2));
    assert_eq!(paid(COLLECTOR), ether(3) * U256::from(7) / U256::from(8));
    assert_eq!(paid(BOB), ether(100) + ether(3) * U256::from(2) / U256::from(8));
}

#[test]
fn the_base_fee_is_burnt_or_collected() {
    for collector in [None, Some(COLLECTOR)] {
        let (evm, parent) = chain(|config| config.fees.collector = collector);
        let header = Header {
            number: 1,
            timestamp: 12,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(1_500_000_000),
            excess_blob_gas: Some(0),
            beneficiary: MINER,
            ..Header::default()
        };
        let mut executor = Executor::new(evm.config(), &header, evm.overlay(&parent)).unwrap();
        executor.transact(&tx(ALICE, 0, BOB, ether(1)), ALICE).unwrap();
        let mut overlay = executor.finish(&[], None).unwrap().overlay;
        let mut balance = |of| overlay.account(of).unwrap().map_or(U256::ZERO, |row| row.balance);
        let fee = |price: u64| U256::from(21_000) * U256::from(price);
        assert_eq!(balance(MINER), fee(500_000_000));
        assert_eq!(balance(COLLECTOR), collector.map_or(U256::ZERO, |_| fee(1_500_000_000)));
        assert_eq!(balance(ALICE), ether(99) - fee(2_000_000_000));
    }
}

#[test]
fn a_withdrawal_of_nothing_creates_nobody() {
    let (evm, parent) = chain(|_| {});
    let header = Header { number: 1, timestamp: 12, gas_limit: 30_000_000, ..Header::default() };
    let executor = Executor::new(evm.config(), &header, evm.overlay(&parent)).unwrap();
    let pay = |address, amount| Withdrawal { address, amount, ..Withdrawal::default() };
    let withdrawals = [pay(COLLECTOR, 0), pay(MINER, 3)];
    let mut overlay = executor.finish(&[], Some(&withdrawals)).unwrap().overlay;
    assert_eq!(overlay.account(COLLECTOR).unwrap(), None);
    assert_eq!(overlay.account(MINER).unwrap().unwrap().balance, U256::from(3_000_000_000_u64));
    assert_eq!(overlay.delta().unwrap().iter().count(), 1);
}

#[test]
fn the_dao_fork_moves_balances_before_the_first_transaction() {
    let beneficiary = address!("bf4ed7b27f1d666546e30d74d50d173d20bca754");
    let drained = address!("d4fe7bc31cedb7bfb8a345f31e668033056b2728");
    let mut config = ChainConfig::up_to(1, Fork::Homestead);
    config.dao = Some(DaoFork { block: 7, support: true });
    let (evm, parent) = chain(|own| *own = config.clone());
    for (number, moved) in [(6, 0), (7, 4), (8, 0)] {
        let header = Header { number, gas_limit: 30_000_000, ..Header::default() };
        let mut overlay = evm.overlay(&parent);
        overlay.pay(drained, ether(4), false).unwrap();
        let mut executor = Executor::new(&config, &header, overlay).unwrap();
        executor.begin().unwrap();
        let overlay = executor.machine().overlay();
        let mut balance = |of| overlay.account(of).unwrap().map_or(U256::ZERO, |row| row.balance);
        assert_eq!((balance(beneficiary), balance(drained)), (ether(moved), ether(4 - moved)));
    }
}
