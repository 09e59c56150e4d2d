//! What a node says over HTTP: one shell, and the dialects that speak through it.
//!
//! ```text
//!   POST /              JSON-RPC, single and in batches ── Executor ── Method ── a dialect's handler (may block)
//!   GET  / (WebSocket)  the same, and messages that a dialect pushes into a Session
//!   GET  /health/live   the process answers
//!   GET  /health/ready  the chain has no fault and is not behind
//!   GET  /metrics       Prometheus
//!   GET  /events        what joined and left the chain, from a cursor on
//! ```
//!
//! Invariants:
//! - only this crate knows JSON, and of the node it knows what [`Host`] tells;
//! - handlers run beside the asynchronous threads, so many at once and so many waiting as configured, never more;
//! - secrets are neither logged nor kept in clear.
//!
//! Start reading at [`Server::start`], then [`Dialect`]; the smallest one is [`GenericDialect`].

mod auth;
mod dialect;
mod error;
mod generic;
mod host;
mod jsonrpc;
mod method;
mod metrics;
mod probe;
mod server;
mod session;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use auth::{AuthConfig, AuthError, COOKIE_USER, IpRange};
pub use dialect::{Dialect, Follower, Style};
pub use error::{Answer, RpcError, code};
pub use generic::GenericDialect;
pub use host::{AddNode, AddedNode, ConnectionType, Host, HostError, NetworkTotals, PeerInfo, PeerSelector};
pub use method::{Call, Handler, Kind, Method, Parameter, integer, not_of_type};
pub use probe::{
    ChainFigures, EventDetail, EventLine, EventsError, HeadInfo, LedgerProbe, Page, Probe, read_hex, read_id,
};
pub use server::{OpenAccess, Server, ServerConfig, ServerError, ServerParts};
pub use session::{Session, SessionClosed};
