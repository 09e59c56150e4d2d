//! Joins ledger, engine, store, peers and RPC into a running node.
//!
//! Everything that touches the world lives here: threads, sockets, signals, the wall clock. The parts that decide
//! something are handed in; no engine and no ledger is named.
//!
//! Start reading at [`Node`], then [`EngineRoom`] and [`Peers`].

mod clock;
mod engine_room;
mod folder;
mod host;
mod log;
mod node;
mod peers;
mod pool_file;
mod shutdown;
mod workers;

pub use clock::WallClock;
pub use engine_room::{ChainParts, EngineRoom};
pub use folder::make_private_folder;
pub use log::{Log, date_time};
pub use node::{MakeDialects, Node, NodeOptions, NodeParts, StartError, open_chain};
pub use peers::{AddedPeer, PeerOptions, PeerSetup, Peers};
pub use pool_file::{Loaded, load as load_pool, save as save_pool};
pub use shutdown::{Shutdown, run_to_end};
pub use workers::WorkerThreads;
