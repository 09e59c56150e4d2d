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
use chainwright_utxo::hash::sha256;

use super::{Assume, Overrides};
use crate::error::{CliError, CliResult};
pub(crate) use crate::frames::Framing;
use crate::spec::{self, ChainFile, FirstBlock, block_id};

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
    /// How blocks lie in files.
    pub(crate) framing: Framing,
}

/// Whose data a store holds: the first block and the rules tell chains of one cell apart, the sealing key included.
pub(super) fn identity<L: Ledger>(
    file: &ChainFile,
    overrides: &Overrides,
    ledger: &L,
    consensus: &dyn Consensus<L>,
) -> Identity {
    let genesis = L::show_id(&ledger.genesis().0.header().id().0);
    let key = sealing_key(file, overrides).ok().flatten().map(|key| spec::encode_hex(&key.to_bytes()));
    let rules = sha256(format!("{}{}", file.rules, key.unwrap_or_default()).as_bytes());
    Identity {
        ledger: L::NAME.to_owned(),
        engine: consensus.name().to_owned(),
        chain: format!("{genesis} with rules {}", spec::encode_hex(&rules[..8])),
        tables: ledger.tables(),
    }
}

/// The public key that seals a chain: the file's, or that of the operator's secret.
///
/// # Errors
/// When one of them is no key.
fn sealing_key(file: &ChainFile, overrides: &Overrides) -> CliResult<Option<VerifyingKey>> {
    let wrong = |error: chainwright_solo::KeyError| CliError::usage(format!("solo: {error}"));
    if let Some(key) = file.solo.as_ref().and_then(|section| section.key) {
        return VerifyingKey::from_bytes(key.0).map(Some).map_err(wrong);
    }
    let secret = overrides.sealing_secret.map(|secret| SealingKey::from_bytes(secret).map_err(wrong));
    Ok(secret.transpose()?.map(|secret| secret.verifying_key()))
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
    let patient = |mut solo: Solo| {
        solo.future_limit_seconds = section.future_limit_seconds.unwrap_or(solo.future_limit_seconds);
        solo
    };
    let wrong = |error: chainwright_solo::KeyError| CliError::usage(format!("solo: {error}"));
    let secret =
        overrides.sealing_secret.map(|secret| SealingKey::from_bytes(secret).map_err(wrong)).transpose()?;
    let key = sealing_key(file, overrides)?.ok_or_else(|| {
        CliError::usage(format!("chain {} names no key that seals its blocks", file.name))
            .hint("`chainwright dev` makes one; for a chain of your own, set solo.key to the public key (`chainwright key seal FILE` prints it), or give --sealing-key FILE")
    })?;
    let (Some(secret), Some(producer)) = (secret, &overrides.producer) else {
        return Ok(patient(Solo::follower(genesis, key)));
    };
    if secret.verifying_key().to_bytes() != key.to_bytes() {
        return Err(CliError::usage("the sealing key is not the one the chain file names")
            .hint("`chainwright key seal FILE` prints the public key of a sealing key"));
    }
    let sealing = producer.pace.map_or(Sealing::OnTransaction, Sealing::Interval);
    Ok(patient(Solo::sealer(genesis, secret, sealing, payee)))
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
