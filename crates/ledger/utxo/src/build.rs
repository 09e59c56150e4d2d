//! The next block: the best of the pool under a coinbase (Bitcoin Core `node/miner.cpp`, `BlockAssembler`).

use std::sync::Arc;

use chainwright_chain::{Attributes, Executed, Jobs, Ledger as _, Prepared, Reject, View};

use crate::amount::Amount;
use crate::block::{Block, BlockHeader};
use crate::check::BLOCK_WEIGHT_MAX;
use crate::hash::{BlockHash, Hasher, Txid};
use crate::ledger::Utxo;
use crate::pool::TransactionPool;
use crate::rules::SIGOP_COST_MAX;
use crate::rules::body::invalid;
use crate::rules::context::height_script;
use crate::rules::locks::is_final;
use crate::script::Script;
use crate::script::opcode::{OP_0, OP_RETURN};
use crate::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

/// Weight kept free for the header and the coinbase.
const RESERVED_WEIGHT: usize = 8_000;
/// Signature operations kept free for the coinbase's outputs.
const RESERVED_SIGOP_COST: usize = 400;
/// A block this near to full is not tried to fill for long.
const NEARLY_FULL_WEIGHT: usize = 4_000;
/// Chunks that may fail to fit one after the other in a nearly full block.
const FAILURES_MAX: usize = 1_000;
/// The coinbase's sequence: not final, so that its lock time counts.
const COINBASE_SEQUENCE: u32 = u32::MAX - 1;
/// What the coinbase's witness holds.
const WITNESS_NONCE: [u8; 32] = [0; 32];

/// A transaction that a template proposes.
#[derive(Clone, Debug)]
pub struct TemplateTransaction {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// What it pays.
    pub fee: Amount,
    /// What its signature operations cost.
    pub sigop_cost: usize,
    /// Earlier transactions of the template that it spends, counted from 1.
    pub depends: Vec<usize>,
}

/// A block without proof of work, and what `getblocktemplate` wants to know of it.
#[derive(Clone, Debug)]
pub struct Template {
    /// The block, coinbase included.
    pub block: Block,
    /// The transactions besides the coinbase, in order.
    pub transactions: Vec<TemplateTransaction>,
    /// The height of the block.
    pub height: u32,
    /// What the coinbase may create: subsidy and fees.
    pub coinbase_value: Amount,
    /// The script of the coinbase's output that commits to the witnesses, if the rules ask for one.
    pub witness_commitment: Option<Script>,
}

/// A template that has been executed.
pub(crate) struct Built {
    pub(crate) block: Block,
    pub(crate) executed: Executed<Utxo>,
}

/// Builds and executes the next block.
pub(crate) fn block(
    utxo: &Utxo,
    parent: &View<Utxo>,
    on: &Attributes,
    pool: &TransactionPool,
) -> Result<Built, Reject> {
    let template = template(utxo, parent, on, pool)?;
    // A chain whose challenge asks for a signature cannot pass `prepare` before somebody signs.
    let facts = crate::rules::body::check_unsigned(&utxo.parameters, &template.block)?;
    let id = chainwright_chain::BlockId(template.block.hash().0);
    let prepared = Arc::new(Prepared { id, block: template.block, facts });
    utxo.check_body(&prepared, &parent.headers)?;
    let executed = utxo.execute(parent, &prepared, &mut Jobs::skipped())?;
    let block = Arc::into_inner(prepared).map(|prepared| prepared.block);
    let block = block.ok_or_else(|| chainwright_chain::Fault::new("execution kept the block it built"))?;
    Ok(Built { block, executed })
}

/// Selects transactions and makes a block of them on `parent`, which must be where the pool stands.
///
/// # Errors
/// [`Reject::Invalid`] when the payee's script is too large for a coinbase, or the time is beyond what headers hold.
pub fn template(
    utxo: &Utxo,
    parent: &View<Utxo>,
    on: &Attributes,
    pool: &TransactionPool,
) -> Result<Template, Reject> {
    let height = parent.headers.height().0 + 1;
    let time =
        u32::try_from(on.time.0).map_err(|_| invalid("time-too-new", "headers hold 32 bits of time"))?;
    if on.payee.len() * 4 > RESERVED_WEIGHT / 2 {
        return Err(invalid("bad-payee", "the payee's script is too large for a coinbase"));
    }
    let selected = select(utxo, pool, height, parent.headers.median_time().0);
    let fees: i64 = selected.iter().map(|transaction| transaction.fee.0).sum();
    let coinbase_value = Amount(utxo.parameters.subsidy_at(height).0 + fees);
    let transactions = selected.iter().map(|selected| Transaction::clone(&selected.transaction));
    let coinbase = coinbase(height, coinbase_value, on.payee.as_slice().into());
    let mut block = Block {
        header: BlockHeader {
            version: utxo.deployments.block_version(&utxo.parameters.deployments, &parent.headers),
            previous: BlockHash(parent.headers.id().0),
            merkle_root: [0; 32],
            time,
            bits: on.target.map_or(parent.headers.header().bits, |target| target.0),
            nonce: 0,
        },
        transactions: std::iter::once(coinbase).chain(transactions).collect(),
    };
    let witness_commitment =
        (height >= utxo.parameters.buried.segwit).then(|| commit_to_witnesses(&mut block));
    block.header.merkle_root = block.merkle_root().root;
    Ok(Template { block, transactions: selected, height, coinbase_value, witness_commitment })
}

/// A coinbase that pays everything to one script.
fn coinbase(height: u32, value: Amount, payee: Script) -> Transaction {
    let mut script = height_script(height);
    // A coinbase's script has two bytes or more, and small numbers take one.
    if script.len() < 2 {
        script.push(OP_0);
    }
    let input = TxIn {
        previous_output: OutPoint::NULL,
        script_sig: script.into(),
        sequence: COINBASE_SEQUENCE,
        witness: Witness::default(),
    };
    Transaction::new(TransactionParts {
        version: 2,
        inputs: vec![input],
        outputs: vec![TxOut { value, script_pubkey: payee }],
        lock_time: height - 1,
    })
}

/// Adds the output that commits to the witnesses, and the witness it needs, to a block whose coinbase has neither
/// (BIP-0141; Bitcoin Core `GenerateCoinbaseCommitment`). The Merkle root is stale afterwards.
pub fn commit_to_witnesses(block: &mut Block) -> Script {
    let root = block.witness_merkle_root();
    let commitment = Hasher::new().chain(&root).chain(&WITNESS_NONCE).finish_double();
    let mut script = vec![OP_RETURN, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(&commitment);
    let script = Script::from(script);
    if let Some(coinbase) = block.transactions.first_mut() {
        let mut parts = coinbase.parts().clone();
        parts.outputs.push(TxOut { value: Amount::ZERO, script_pubkey: script.clone() });
        if let Some(input) = parts.inputs.first_mut() {
            input.witness = Witness::from_items([WITNESS_NONCE]);
        }
        *coinbase = Transaction::new(parts);
    }
    script
}

/// The best chunks of the pool that fit (Bitcoin Core `addChunks`).
fn select(utxo: &Utxo, pool: &TransactionPool, height: u32, median_time: u64) -> Vec<TemplateTransaction> {
    let mut selection = Selection::default();
    let mut weight = RESERVED_WEIGHT;
    let mut sigop_cost = RESERVED_SIGOP_COST;
    let mut skipped = hashbrown::HashSet::new();
    let mut failures = 0;
    for (cluster, chunk) in pool.chunks() {
        if chunk.rate < utxo.policy.block_fee_rate_min.per_weight() {
            break;
        }
        if skipped.contains(&cluster) {
            continue;
        }
        let entries: Vec<_> = chunk.txids.iter().filter_map(|txid| pool.entry(txid)).collect();
        let chunk_weight = chunk.rate.weight as usize;
        let chunk_cost: usize = entries.iter().map(|entry| entry.sigop_cost).sum();
        let fits = weight + chunk_weight < BLOCK_WEIGHT_MAX && sigop_cost + chunk_cost < SIGOP_COST_MAX;
        if !fits || !entries.iter().all(|entry| is_final(&entry.transaction, height, median_time)) {
            skipped.insert(cluster);
            failures += 1;
            if failures > FAILURES_MAX && weight + NEARLY_FULL_WEIGHT > BLOCK_WEIGHT_MAX {
                break;
            }
            continue;
        }
        failures = 0;
        weight += chunk_weight;
        sigop_cost += chunk_cost;
        for entry in entries {
            selection.add(entry);
        }
    }
    selection.transactions
}

/// Transactions chosen so far, and where they are.
#[derive(Default)]
struct Selection {
    transactions: Vec<TemplateTransaction>,
    positions: hashbrown::HashMap<Txid, usize>,
}

impl Selection {
    fn add(&mut self, entry: &crate::pool::Entry) {
        let inputs = entry.transaction.inputs().iter();
        let mut depends: Vec<usize> =
            inputs.filter_map(|input| self.positions.get(&input.previous_output.txid).copied()).collect();
        depends.sort_unstable();
        depends.dedup();
        self.transactions.push(TemplateTransaction {
            transaction: Arc::clone(&entry.transaction),
            fee: entry.fee,
            sigop_cost: entry.sigop_cost,
            depends,
        });
        self.positions.insert(entry.transaction.txid(), self.transactions.len());
    }
}
