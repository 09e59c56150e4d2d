//! Blocks that a challenge has to sign (BIP-0325; Bitcoin Core `signet.cpp`).
//!
//! The solution hides behind a tag in the output with the witness commitment. Two transactions that never appear
//! anywhere are made of the block and the challenge; the second must be allowed to spend the first.

use bytes::Bytes;
use chainwright_chain::Reject;

use super::body::invalid;
use crate::amount::Amount;
use crate::block::Block;
use crate::codec::Reader;
use crate::merkle::merkle_root;
use crate::params::Parameters;
use crate::script::instruction::{Instructions, put_push};
use crate::script::opcode::{OP_0, OP_RETURN};
use crate::script::{Flags, Script};
use crate::sighash::PrecomputedTransaction;
use crate::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

/// What a push with a solution begins with.
const TAG: [u8; 4] = [0xec, 0xc7, 0xda, 0xa2];

/// The rules a solution is held to.
const FLAGS: Flags = Flags(Flags::P2SH.0 | Flags::WITNESS.0 | Flags::DERSIG.0 | Flags::NULLDUMMY.0);

/// Checks the block's solution, where the chain asks for one. Genesis needs none.
pub(crate) fn check_solution(parameters: &Parameters, block: &Block) -> Result<(), Reject> {
    let Some(challenge) = &parameters.signet_challenge else { return Ok(()) };
    let is_genesis = block.header == parameters.genesis.block().header;
    if is_genesis || solves(challenge, block) {
        return Ok(());
    }
    Err(invalid("bad-signet-blksig", "signet block signature validation failure"))
}

fn solves(challenge: &[u8], block: &Block) -> bool {
    let Some(pair) = SigningPair::of(challenge, block) else { return false };
    PrecomputedTransaction::new(pair.to_sign, vec![pair.spent])
        .is_ok_and(|transaction| transaction.verify_input(0, FLAGS).is_ok())
}

/// What is signed, and the output it spends.
pub(crate) struct SigningPair {
    pub(crate) to_sign: Transaction,
    pub(crate) spent: TxOut,
}

impl SigningPair {
    /// Makes the pair, with whatever solution the block has filled in (Bitcoin Core `SignetTxs::Create`).
    pub(crate) fn of(challenge: &[u8], block: &Block) -> Option<Self> {
        let index = block.witness_commitment_index()?;
        let coinbase = block.transactions.first()?;
        let mut cleared = coinbase.parts().clone();
        let taken = take_solution(cleared.outputs[index].script_pubkey.as_bytes());
        let (script_sig, witness) = match taken {
            Some((without, solution)) => {
                cleared.outputs[index].script_pubkey = without.into();
                read_solution(solution)?
            }
            // A challenge anybody can satisfy needs no solution.
            None => (Script::default(), Witness::default()),
        };
        let root = signed_merkle_root(cleared, block);
        let spent = TxOut { value: Amount::ZERO, script_pubkey: challenge.into() };
        let to_spend =
            one_to_one(OutPoint::NULL, (to_spend_script(block, root), Witness::default()), spent.clone());
        let output = TxOut { value: Amount::ZERO, script_pubkey: vec![OP_RETURN].into() };
        let source = OutPoint { txid: to_spend.txid(), index: 0 };
        Some(Self { to_sign: one_to_one(source, (script_sig, witness), output), spent })
    }
}

fn one_to_one(source: OutPoint, unlock: (Script, Witness), output: TxOut) -> Transaction {
    let (script_sig, witness) = unlock;
    let input = TxIn { previous_output: source, script_sig, sequence: 0, witness };
    Transaction::new(TransactionParts {
        version: 0,
        inputs: vec![input],
        outputs: vec![output],
        lock_time: 0,
    })
}

/// The script without its first solution, and the solution (Bitcoin Core `FetchAndClearCommitmentSection`).
fn take_solution(script: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut solution = None;
    let mut without = Vec::with_capacity(script.len());
    for instruction in Instructions::new(script).map_while(Result::ok) {
        match instruction.data {
            [] => without.push(instruction.opcode),
            data if solution.is_none() && data.len() > TAG.len() && data.starts_with(&TAG) => {
                put_push(&mut without, &TAG);
                solution = Some(data[TAG.len()..].to_vec());
            }
            data => put_push(&mut without, data),
        }
    }
    solution.map(|solution| (without, solution))
}

fn read_solution(solution: Vec<u8>) -> Option<(Script, Witness)> {
    let mut reader = Reader::new(Bytes::from(solution));
    let script_sig = Script(reader.prefixed_view().ok()?);
    let witness = Witness::read(&mut reader).ok()?;
    reader.finish().ok()?;
    Some((script_sig, witness))
}

fn signed_merkle_root(cleared: TransactionParts, block: &Block) -> [u8; 32] {
    let coinbase = Transaction::new(cleared).txid();
    let others = block.transactions.iter().skip(1).map(Transaction::txid);
    merkle_root(std::iter::once(coinbase).chain(others).map(|txid| txid.0).collect()).root
}

fn to_spend_script(block: &Block, root: [u8; 32]) -> Script {
    let mut signed = block.header.version.to_le_bytes().to_vec();
    signed.extend_from_slice(&block.header.previous.0);
    signed.extend_from_slice(&root);
    signed.extend_from_slice(&block.header.time.to_le_bytes());
    let mut script = vec![OP_0];
    put_push(&mut script, &signed);
    script.into()
}
