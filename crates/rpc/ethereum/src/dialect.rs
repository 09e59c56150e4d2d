//! The dialect: all methods over one chain.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use chainwright_chain::{BlockId, ChainHandle, Ledger as _};
use chainwright_evm::Evm;
use chainwright_evm::trie::ProofTrie;
use chainwright_rpc::{Answer, Call, Dialect, Follower, Host, Method, Parameter, Session, Style};
use chainwright_solo::Solo;
use parking_lot::Mutex;

use crate::chain::Reader;
use crate::development::Development;
use crate::filters::Filters;
use crate::limits::CallLimits;
use crate::methods;
use crate::past::{Library, Past};
use crate::subscribe::{Subscriptions, Teller};

/// What every method works with.
pub(crate) struct Context {
    pub(crate) chain: Reader,
    pub(crate) host: Arc<dyn Host>,
    /// What a call may cost.
    pub(crate) limits: CallLimits,
    /// The tip that is suggested while this block is the head, in wei.
    pub(crate) tip: Mutex<Option<(BlockId, u128)>>,
    /// Stands where the last proof was asked for; loaded for the first one.
    pub(crate) proofs: Mutex<Option<ProofTrie<Evm>>>,
    /// The same for blocks to which the journal does not lead back.
    pub(crate) old_proofs: Mutex<Option<ProofTrie<Evm>>>,
    /// Who is told of what over WebSockets.
    pub(crate) subscriptions: Arc<Subscriptions>,
    /// Who asks for what happened.
    pub(crate) filters: Filters,
    /// Held from choosing a nonce until the pool knows of it.
    pub(crate) signing: Mutex<()>,
    /// How many calls wait for a receipt.
    pub(crate) waiting_sends: AtomicUsize,
    /// What whoever runs a development chain may do to it by hand.
    pub(crate) development: OnceLock<Development>,
}

/// One method: what it is called, what it takes, and the function that answers.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) description: &'static str,
    pub(crate) answer: fn(&Context, &Call) -> Answer,
}

/// Ethereum's methods over a chain with the evm ledger.
pub struct EthereumDialect(Arc<Context>);

impl EthereumDialect {
    /// A dialect over a running chain, which answers for the newest blocks and states.
    pub fn new(chain: ChainHandle<Evm>, host: Arc<dyn Host>) -> Arc<Self> {
        Self::with_limits(chain, host, CallLimits::default())
    }

    /// The same, where calls may cost something else.
    pub fn with_limits(chain: ChainHandle<Evm>, host: Arc<dyn Host>, limits: CallLimits) -> Arc<Self> {
        Self::over(Reader::new(chain, Library::newest()), host, limits)
    }

    /// The same with indexes in the node's folder, which begin to follow the chain.
    pub fn with_past(
        chain: ChainHandle<Evm>,
        host: Arc<dyn Host>,
        past: Past,
        limits: CallLimits,
    ) -> Arc<Self> {
        let library = Library::open(&chain, &host, past);
        Self::over(Reader::new(chain, library), host, limits)
    }

    /// The same on a chain that this node may seal. On a development chain it has the methods of development nodes, too: time,
    /// blocks, state and accounts as the caller wants them.
    #[must_use]
    pub fn sealed_by(self: Arc<Self>, sealer: Arc<Solo>) -> Arc<Self> {
        let published = self.0.chain.published();
        if published.ledger().config().development {
            let genesis = published.ledger().genesis().0.header.hash();
            // Whoever asked first decides.
            let _ = self.0.development.set(Development::new(sealer, genesis));
        }
        self
    }

    fn over(chain: Reader, host: Arc<dyn Host>, limits: CallLimits) -> Arc<Self> {
        Arc::new(Self(Arc::new(Context {
            chain,
            host,
            limits,
            tip: Mutex::default(),
            proofs: Mutex::default(),
            old_proofs: Mutex::default(),
            subscriptions: Arc::default(),
            filters: Filters::default(),
            signing: Mutex::default(),
            waiting_sends: AtomicUsize::default(),
            development: OnceLock::new(),
        })))
    }
}

impl Dialect for EthereumDialect {
    fn name(&self) -> &'static str {
        "ethereum"
    }

    fn style(&self) -> Style {
        Style::JsonRpc2
    }

    fn is_public(&self) -> bool {
        true
    }

    fn methods(self: Arc<Self>) -> Vec<Method> {
        let method = |entry: &'static Entry| {
            let context = Arc::clone(&self.0);
            Method {
                name: entry.name,
                category: entry.name.split('_').next().unwrap_or("eth"),
                parameters: entry.parameters,
                description: entry.description,
                handler: Arc::new(move |call: &Call| (entry.answer)(&context, call)),
            }
        };
        let further = if self.0.development.get().is_some() { methods::DEVELOPMENT } else { &[] };
        methods::ALL.iter().chain(further).flat_map(|group| group.iter()).map(method).collect()
    }

    fn follower(self: Arc<Self>) -> Option<Follower> {
        let mut teller = Teller::new(Arc::clone(&self.0));
        Some(Box::new(move |notices| teller.hear(notices)))
    }

    fn closed(&self, session: &Session) {
        self.0.subscriptions.close(session);
    }
}
