//! A chain without its types: what commands can do with any cell.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chainwright_chain::{Block as _, BoxFuture, Header as _, Ledger};
use chainwright_node::{
    EngineRoom, Node, NodeOptions, NodeParts, PeerOptions, Shutdown, StartError, WallClock, open_chain,
};
use chainwright_rpc::ServerConfig;

use super::Assembly;
use crate::error::{CliError, CliResult, Context as _};
use crate::import::{Exported, Imported, Progress, Report, export_blocks, import_blocks, import_headers};
use crate::node::make_data_folder;
use crate::snapshot::{self, Summary, Wanted};

/// What the operator says about one node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSettings {
    pub(crate) options: NodeOptions,
    /// At most this many peers.
    pub(crate) connections_max: usize,
}

impl NodeSettings {
    /// A node with its files in a directory, peers and RPC as given.
    pub(crate) fn new(data: PathBuf, peers: PeerOptions, rpc: Option<ServerConfig>) -> Self {
        let options = NodeOptions { peers, rpc, ..NodeOptions::new(data) };
        Self { options, connections_max: 125 }
    }
}

/// Any chain, put together.
pub(crate) trait Cell: Send {
    /// The engine's name.
    fn consensus_name(&self) -> &'static str;

    /// The ledger's name.
    fn ledger_name(&self) -> &'static str;

    /// Id of the first block as people write it.
    fn genesis(&self) -> String;

    /// Reads block files into a data directory.
    ///
    /// # Errors
    /// When the directory cannot be used, or a block breaks the rules.
    fn import(self: Box<Self>, data: &Path, report: Report, progress: &mut Progress) -> CliResult<Imported>;

    /// Writes the blocks of a data directory to a file.
    ///
    /// # Errors
    /// When the directory or the file cannot be used.
    fn export(self: Box<Self>, data: &Path, file: &Path, heights: (u32, Option<u32>)) -> CliResult<Exported>;

    /// Writes the state of a data directory after one block to a file.
    ///
    /// # Errors
    /// When headers carry no root of the state, or directory or file cannot be used.
    fn write_snapshot(self: Box<Self>, data: &Path, file: &Path, wanted: Wanted) -> CliResult<Summary>;

    /// Begins an empty data directory with the state in a file.
    ///
    /// # Errors
    /// When the directory or the file cannot be used, or the file is not what it claims to be.
    fn read_snapshot(self: Box<Self>, data: &Path, file: &Path) -> CliResult<Summary>;

    /// Starts a node. Needs a running Tokio runtime.
    fn start(
        self: Box<Self>,
        settings: NodeSettings,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, Result<Box<dyn RunningNode>, StartError>>;
}

/// A running node of any chain.
pub(crate) trait RunningNode: Send {
    /// Where peers can connect.
    fn listening(&self) -> Vec<SocketAddr>;

    /// Where the RPC server listens.
    fn rpc(&self) -> Vec<SocketAddr>;

    /// Stops in order; the failure that stopped the node, if one did.
    fn stop(self: Box<Self>) -> BoxFuture<'static, Result<(), String>>;
}

/// An error with a hint from one whose last line is the hint.
pub(crate) fn with_hint(error: &StartError) -> CliError {
    let text = error.to_string();
    match text.split_once("\nhint: ") {
        Some((message, hint)) => CliError::failed(message).hint(hint),
        None => CliError::failed(text),
    }
}

impl<L: Ledger> Assembly<L> {
    /// Opens the chain without sockets. The runtime carries the clock and nothing else.
    fn open_offline(
        &self,
        data: &Path,
        (threads, cache_bytes): (Option<usize>, Option<usize>),
        shutdown: &Shutdown,
    ) -> CliResult<(EngineRoom<L>, tokio::runtime::Runtime)> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context(|| "cannot start threads".to_owned())?;
        make_data_folder(data)?;
        let mut options = NodeOptions::new(data);
        options.workers = threads.unwrap_or(options.workers);
        options.store.window_bytes = cache_bytes.unwrap_or(options.store.window_bytes);
        let parts = (Arc::clone(&self.ledger), Arc::clone(&self.consensus), self.identity.clone());
        let clock = Arc::new(WallClock::new(runtime.handle().clone()));
        let room = open_chain(parts, &options, clock, shutdown).map_err(|error| with_hint(&error))?;
        Ok((room, runtime))
    }
}

impl<L: Ledger> Assembly<L> {
    /// Whether seal and fork choice come from outside.
    pub(crate) fn is_external(&self) -> bool {
        self.consensus.name() == "external"
    }
}

impl<L: Ledger> Cell for Assembly<L> {
    fn consensus_name(&self) -> &'static str {
        self.consensus.name()
    }

    fn ledger_name(&self) -> &'static str {
        L::NAME
    }

    fn genesis(&self) -> String {
        L::show_id(&self.ledger.genesis().0.header().id().0)
    }

    fn import(
        self: Box<Self>,
        data: &Path,
        mut report: Report,
        progress: &mut Progress,
    ) -> CliResult<Imported> {
        report.follows = self.is_external();
        if report.pointers.is_any() && !report.follows {
            let engine = self.consensus.name();
            return Err(CliError::usage(format!(
                "--head, --safe and --finalized: `{engine}` chooses by itself"
            ))
            .hint("they are for chains with `consensus = \"external\"`"));
        }
        let shutdown = Shutdown::new();
        let (mut room, _runtime) =
            self.open_offline(data, (report.threads, report.cache_bytes), &shutdown)?;
        if self.wants_headers_first {
            import_headers(room.chain(), self.framing, &report.files)?;
        }
        let imported = import_blocks(room.chain(), self.framing, &report, progress);
        room.stop();
        match shutdown.failure() {
            Some(failure) => Err(CliError::failed(failure)),
            None => imported,
        }
    }

    fn export(self: Box<Self>, data: &Path, file: &Path, heights: (u32, Option<u32>)) -> CliResult<Exported> {
        let (mut room, _runtime) = self.open_offline(data, (Some(1), None), &Shutdown::new())?;
        let exported = export_blocks(room.chain(), self.framing, file, heights);
        room.stop();
        exported
    }

    fn write_snapshot(self: Box<Self>, data: &Path, file: &Path, wanted: Wanted) -> CliResult<Summary> {
        let (mut room, _runtime) = self.open_offline(data, (Some(1), None), &Shutdown::new())?;
        let written = snapshot::write(&self, room.chain().published(), file, wanted);
        room.stop();
        written
    }

    fn read_snapshot(self: Box<Self>, data: &Path, file: &Path) -> CliResult<Summary> {
        snapshot::read(&self, data, file)
    }

    fn start(
        mut self: Box<Self>,
        mut settings: NodeSettings,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, Result<Box<dyn RunningNode>, StartError>> {
        if self.is_external() {
            // Nothing a peer says could be checked. An empty name is nobody.
            let peers = &mut settings.options.peers;
            peers.listen = Vec::new();
            peers.connect = vec![String::new()];
        }
        let policy = &mut self.parameters.policy;
        if !settings.options.peers.connect.is_empty() {
            (policy.outbound_full_relay_max, policy.outbound_block_relay_max) = (0, 0);
            policy.feelers = false;
        }
        let outbound = policy.outbound_full_relay_max + policy.outbound_block_relay_max;
        policy.inbound_max = settings.connections_max.saturating_sub(outbound);
        let assembly = *self;
        let parts = NodeParts {
            ledger: assembly.ledger,
            consensus: assembly.consensus,
            identity: assembly.identity,
            parameters: assembly.parameters,
            dialects: assembly.dialects,
        };
        Box::pin(async move {
            let node = Node::start(parts, settings.options, shutdown).await?;
            Ok(Box::new(node) as Box<dyn RunningNode>)
        })
    }
}

impl<L: Ledger> RunningNode for Node<L> {
    fn listening(&self) -> Vec<SocketAddr> {
        Self::listening(self).to_vec()
    }

    fn rpc(&self) -> Vec<SocketAddr> {
        self.rpc_addresses().to_vec()
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(Self::stop(*self))
    }
}
