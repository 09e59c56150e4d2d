//! Calls that change nothing, what they suppose, and blocks looked at again.

use alloy_primitives::{B256, Bytes, TxKind, U256, address};
use chainwright_evm::config::Fork;
use chainwright_evm::execute::{
    AccountOverride, BlockOverride, Machine, TransactionError, block_environment, call_rules, machine_rules,
    replay,
};
use chainwright_evm::rules::{BlockAttributes, child_header};
use chainwright_evm::state::Overlay;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::interpreter::Interpreter;
use revm::interpreter::interpreter::EthInterpreter;
use revm::{Inspector, context::ContextTr};

use crate::chain::{ALICE, BOB, COUNTER, MINER, chain, ether, tx};

fn call(overlay: Overlay, tx: TxEnv, supposed: &BlockOverride) -> Result<ExecutionResult, TransactionError> {
    let (evm, parent) = chain(|_| {});
    let rules = call_rules(machine_rules(evm.config(), Fork::Cancun), false);
    let block = supposed.applied(block_environment(evm.config(), Fork::Cancun, parent.headers.header()));
    Machine::new(overlay, rules, block, None).transact(tx).map(|outcome| outcome.result)
}

fn to(contract: alloy_primitives::Address) -> TxEnv {
    TxEnv { caller: ALICE, kind: TxKind::Call(contract), gas_limit: 1_000_000, ..TxEnv::default() }
}

fn word(result: &ExecutionResult) -> U256 {
    U256::from_be_slice(result.output().unwrap())
}

#[test]
fn a_call_sees_what_it_supposes_and_changes_nothing() {
    let (evm, parent) = chain(|_| {});
    let mut overlay = evm.overlay(&parent);
    let supposed =
        AccountOverride { state: Some([(U256::ZERO, U256::from(41))].into()), ..Default::default() };
    overlay.suppose(COUNTER, &supposed).unwrap();
    let result = call(overlay, to(COUNTER), &BlockOverride::default()).unwrap();
    assert_eq!(word(&result), U256::from(42));
    let result = call(evm.overlay(&parent), to(COUNTER), &BlockOverride::default()).unwrap();
    assert_eq!(word(&result), U256::from(1), "nothing is left of the first call");
}

#[test]
fn supposed_code_runs_in_a_supposed_block() {
    let (evm, parent) = chain(|_| {});
    let nobody = address!("00000000000000000000000000000000000ff1ce");
    let mut overlay = evm.overlay(&parent);
    // NUMBER TIMESTAMP ADD BASEFEE ADD BLOBBASEFEE ADD PREVRANDAO ADD, returned.
    let code = [0x43, 0x42, 0x01, 0x48, 0x01, 0x4a, 0x01, 0x44, 0x01, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3];
    overlay
        .suppose(nobody, &AccountOverride { code: Some(Bytes::from(code)), ..Default::default() })
        .unwrap();
    let supposed = BlockOverride {
        number: Some(U256::from(1)),
        time: Some(20),
        base_fee: Some(300),
        blob_base_fee: Some(4_000),
        prev_randao: Some(B256::from(U256::from(50_000))),
        ..BlockOverride::default()
    };
    assert_eq!(word(&call(overlay, to(nobody), &supposed).unwrap()), U256::from(54_321));
}

#[test]
fn refusals_are_in_the_words_of_geth() {
    let (evm, parent) = chain(|_| {});
    let transfer = TxEnv { value: ether(101), ..to(BOB) };
    let error = call(evm.overlay(&parent), transfer, &BlockOverride::default()).unwrap_err();
    let words = format!(
        "insufficient funds for gas * price + value: address {ALICE} have {} want {}",
        ether(100),
        ether(101)
    );
    assert_eq!(error.to_string(), words);
    let header = parent.headers.header();
    let mut strict = Machine::new(
        evm.overlay(&parent),
        machine_rules(evm.config(), Fork::Cancun),
        block_environment(evm.config(), Fork::Cancun, header),
        None,
    );
    let late = TxEnv { nonce: 3, gas_price: 2_000_000_000, chain_id: Some(1), ..to(BOB) };
    let error = strict.transact(late).err().unwrap();
    assert_eq!(error.to_string(), format!("nonce too high: address {ALICE}, tx: 3 state: 0"));
    let poor = TxEnv { gas_limit: 20_000, gas_price: 2_000_000_000, chain_id: Some(1), ..to(BOB) };
    let error = strict.transact(poor).err().unwrap();
    assert_eq!(error.to_string(), "intrinsic gas too low: have 20000, want 21000");
}

/// Counts instructions.
#[derive(Default)]
struct Steps(usize);

impl<C: ContextTr> Inspector<C, EthInterpreter> for Steps {
    fn step(&mut self, _: &mut Interpreter<EthInterpreter>, _: &mut C) {
        self.0 += 1;
    }
}

#[test]
fn a_block_is_replayed_up_to_any_transaction() {
    let (evm, parent) = chain(|_| {});
    let on = BlockAttributes { time: 12, beneficiary: MINER, ..BlockAttributes::default() };
    let header = child_header(evm.config(), &parent.headers, &on);
    let candidates: Vec<_> = (0..3).map(|nonce| (tx(ALICE, nonce, COUNTER, U256::ZERO), ALICE)).collect();
    let (block, executed) = evm.build_on(&parent, header, &[], &mut candidates.into_iter()).unwrap();
    for index in 0..3 {
        let executor = replay(evm.config(), &block, evm.overlay(&parent), index).unwrap();
        let mut executor = executor.with_inspector(Steps::default());
        assert_eq!(executor.receipts(), &executed.receipts.receipts[..index]);
        let outcome = executor.inspect(&block.transactions[index], ALICE).unwrap();
        assert_eq!(word(&outcome.result), U256::from(index + 1));
        assert_eq!(executor.machine().inspector().0, 12, "every instruction was seen");
        let receipt = executor.keep(&block.transactions[index], outcome).unwrap();
        assert_eq!(receipt, &executed.receipts.receipts[index]);
    }
}
