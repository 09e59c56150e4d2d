//! What all cells share: engines around a ledger, the wire, whose data the store holds.

use std::sync::Arc;

use chainwright_chain::{
    Attributes, Block as _, BlockId, BoxFuture, ChainHandle, Consensus, Epoch, Fault, Header as _, Headers,
    Height, Ledger, Proof, Reject, Timestamp, ValidatorSet, Weight, Work,
};
use chainwright_network::Parameters;
use chainwright_node::MakeDialects;
use chainwright_pow::{Miner, Pow};
use chainwright_solo::{Sealing, SealingKey, Solo, VerifyingKey};
use chainwright_store::Identity;

use super::{Assume, Overrides};
use crate::error::{CliError, CliResult};
use crate::spec::{ChainFile, FirstBlock, block_id};

/// The user agent's own part (BIP-0014).
const AGENT: &str = concat!("Chainwright:", env!("CARGO_PKG_VERSION"));

/// A chain, put together and typed.
pub(crate) struct Assembly<L: Ledger> {
    pub(crate) ledger: Arc<L>,
    pub(crate) consensus: Arc<dyn Consensus<L>>,
    pub(crate) identity: Identity,
    pub(crate) parameters: Parameters<L>,
    pub(crate) dialects: MakeDialects<L>,
    /// Whether headers should be known before their blocks come: an assumed-valid block is named.
    pub(crate) wants_headers_first: bool,
}

/// Whose data a store holds: the first block tells chains of one cell apart.
pub(super) fn identity<L: Ledger>(ledger: &L, consensus: &dyn Consensus<L>) -> Identity {
    Identity {
        ledger: L::NAME.to_owned(),
        engine: consensus.name().to_owned(),
        chain: L::show_id(&ledger.genesis().0.header().id().0),
        tables: ledger.tables(),
    }
}

/// The wire of a chain, with what the operator says about it.
pub(super) fn wire<L: Ledger>(file: &ChainFile, overrides: &Overrides) -> Parameters<L> {
    let mut wire = Parameters::new(file.network.magic.0, file.network.port);
    wire.policy.relay_transactions = !overrides.blocks_only;
    let comments = overrides.agent_comments.join("; ");
    wire.user_agent =
        if comments.is_empty() { format!("/{AGENT}/") } else { format!("/{AGENT}({comments})/") };
    wire
}

/// Proof of work around a ledger whose headers have a place for it.
///
/// # Errors
/// When a value of the section makes no sense.
pub(super) fn pow_engine(
    file: &ChainFile,
    first: FirstBlock,
    overrides: &Overrides,
    payee: Vec<u8>,
) -> CliResult<Pow> {
    let section = file.pow.as_ref().ok_or_else(|| CliError::usage("section [pow] is missing"))?;
    let mut pow = section.engine(first)?;
    match overrides.assume {
        Assume::File | Assume::Everything => {}
        Assume::Nothing => pow.assumed_valid = None,
        Assume::Block(id) => pow.assumed_valid = Some(block_id(id)),
    }
    if let Some(work) = overrides.minimum_work {
        pow.minimum_weight = work;
    }
    pow.miner = overrides.producer.as_ref().map(|producer| Miner {
        payee,
        pace: producer.pace,
        // A paced miner is for local networks, whose targets cost nothing.
        threads: usize::from(producer.pace.is_none()) * chainwright_node::WorkerThreads::default_width(),
    });
    Ok(pow)
}

/// The engine as the chain sees it, with `--assumevalid all` around it if asked for.
pub(super) fn assuming<L: Ledger>(
    consensus: Arc<dyn Consensus<L>>,
    overrides: &Overrides,
) -> Arc<dyn Consensus<L>> {
    match overrides.assume {
        Assume::Everything => Arc::new(AssumesAll(consensus)),
        _ => consensus,
    }
}

/// One key seals.
///
/// # Errors
/// When no key is known, or a key makes no sense.
pub(super) fn solo_engine<L: Ledger>(
    file: &ChainFile,
    ledger: &L,
    overrides: &Overrides,
    payee: Vec<u8>,
) -> CliResult<Solo> {
    let section = file.solo.as_ref().ok_or_else(|| CliError::usage("section [solo] is missing"))?;
    let genesis = ledger.genesis().0.header().id();
    let wrong = |error: chainwright_solo::KeyError| CliError::usage(format!("solo: {error}"));
    let secret =
        overrides.sealing_secret.map(|secret| SealingKey::from_bytes(secret).map_err(wrong)).transpose()?;
    let named = section.key.map(|key| VerifyingKey::from_bytes(key.0).map_err(wrong)).transpose()?;
    let key = named.or_else(|| secret.as_ref().map(SealingKey::verifying_key)).ok_or_else(|| {
        CliError::usage(format!("chain {} names no key that seals its blocks", file.name))
            .hint("`chainwright dev` makes one; for a chain of your own, set solo.key to the public key, or give --sealing-key FILE")
    })?;
    let (Some(secret), Some(producer)) = (secret, &overrides.producer) else {
        return Ok(Solo::follower(genesis, key));
    };
    if secret.verifying_key().to_bytes() != key.to_bytes() {
        return Err(CliError::usage("the sealing key is not the one the chain file names"));
    }
    let sealing = producer.pace.map_or(Sealing::OnTransaction, Sealing::Interval);
    Ok(Solo::sealer(genesis, secret, sealing, payee))
}

/// An engine that takes every block's deferred checks as passed.
struct AssumesAll<L: Ledger>(Arc<dyn Consensus<L>>);

impl<L: Ledger> Consensus<L> for AssumesAll<L> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn check_header(&self, header: &L::Header, parent: &Headers<L>, now: Timestamp) -> Result<(), Reject> {
        self.0.check_header(header, parent, now)
    }

    fn check_seal(&self, header: &L::Header) -> Result<(), Reject> {
        self.0.check_seal(header)
    }

    fn weight(&self, header: &L::Header) -> Weight {
        self.0.weight(header)
    }

    fn assumes_valid(&self, _: &Headers<L>, _: &Headers<L>) -> bool {
        true
    }

    fn attributes(&self, parent: &Headers<L>, now: Timestamp) -> Attributes {
        self.0.attributes(parent, now)
    }

    fn seal(&self, header: &mut L::Header, stop: &dyn Fn() -> bool) -> bool {
        self.0.seal(header, stop)
    }

    fn epoch(&self, height: Height) -> Epoch {
        self.0.epoch(height)
    }

    fn check_proof(
        &self,
        id: BlockId,
        height: Height,
        proof: &Proof,
        validators: &ValidatorSet,
    ) -> Result<(), Reject> {
        self.0.check_proof(id, height, proof, validators)
    }

    fn run(self: Arc<Self>, chain: ChainHandle<L>) -> BoxFuture<'static, Result<(), Fault>> {
        Arc::clone(&self.0).run(chain)
    }
}

/// A ledger whose headers have a place for work can be paired with [`Pow`]: checked by the compiler, here.
pub(super) fn boxed_pow<L: Ledger<Header: Work>>(pow: Pow) -> Arc<dyn Consensus<L>> {
    Arc::new(pow)
}
