//! A dialect is a set of methods: Bitcoin's, Ethereum's, or the small generic one.

use std::collections::BTreeMap;
use std::sync::Arc;

use chainwright_chain::Notice;

use crate::method::Method;
use crate::session::Session;

/// What a node can be asked in one chain's own words.
///
/// A server speaks one or several dialects on one port. `POST /` takes JSON-RPC requests and batches; `GET /` with
/// `Upgrade: websocket` opens a connection that takes the same requests as text messages, and into which a
/// dialect may push. Handlers may block: the shell runs them on threads of their own, bounds how many run at once,
/// and refuses what does not fit its queue.
///
/// The smallest implementation is [`crate::GenericDialect`]. One that pushes every new head to whoever asked for it:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
///
/// use chainwright_chain::Notice;
/// use chainwright_rpc::{Call, Dialect, Follower, Kind, Method, Parameter, RpcError, Session, Style};
/// use serde_json::{Value, json};
///
/// #[derive(Default)]
/// struct Heads(Mutex<HashMap<u64, Session>>);
///
/// impl Dialect for Heads {
///     fn name(&self) -> &'static str {
///         "heads"
///     }
///
///     fn style(&self) -> Style {
///         Style::JsonRpc2
///     }
///
///     // Whoever reaches an open server may call these methods without a login.
///     fn is_public(&self) -> bool {
///         true
///     }
///
///     fn methods(self: Arc<Self>) -> Vec<Method> {
///         let dialect = Arc::clone(&self);
///         let subscribe = Method {
///             name: "heads_subscribe",
///             category: "heads",
///             parameters: const { &[Parameter::optional("what", Kind::String, "all", "Which heads")] },
///             description: "Pushes every new head as a `heads_new` notification.",
///             handler: Arc::new(move |call: &Call| {
///                 if call.text(0).is_some_and(|what| what != "all") {
///                     return Err(RpcError::invalid_params("there is nothing but `all`"));
///                 }
///                 let session = call.session()?.clone();
///                 let (id, dialect) = (session.id(), Arc::clone(&dialect));
///                 // The reply first, the first notification after it.
///                 call.after_reply(move || drop(dialect.0.lock().unwrap().insert(id, session)));
///                 Ok(json!(id))
///             }),
///         };
///         vec![subscribe]
///     }
///
///     fn follower(self: Arc<Self>) -> Option<Follower> {
///         Some(Box::new(move |notices| {
///             for notice in notices {
///                 let Notice::Head(_, height) = notice else { continue };
///                 // A session that is gone, or was too slow, is forgotten.
///                 self.0.lock().unwrap().retain(|_, it| it.notify("heads_new", json!(height.0)).is_ok());
///             }
///         }))
///     }
///
///     fn closed(&self, session: &Session) {
///         self.0.lock().unwrap().remove(&session.id());
///     }
/// }
///
/// let dialect = Arc::new(Heads::default());
/// let method = &Arc::clone(&dialect).methods()[0];
/// let (session, mut pushed) = chainwright_rpc::testing::session(7);
/// let call = Call::new(method.arguments(json!([])).unwrap()).over(session);
/// assert_eq!((method.handler)(&call), Ok(json!(7)));
/// call.reply_is_sent();
/// let mut follower = dialect.follower().unwrap();
/// follower(&[Notice::Head(chainwright_chain::BlockId::ZERO, chainwright_chain::Height(1))]);
/// assert_eq!(pushed.next().unwrap(), r#"{"jsonrpc":"2.0","method":"heads_new","params":1}"#);
/// ```
pub trait Dialect: Send + Sync + 'static {
    /// What the dialect is called in logs.
    fn name(&self) -> &'static str;

    /// Its methods. Called once; handlers keep what they need.
    fn methods(self: Arc<Self>) -> Vec<Method>;

    /// How requests are read and answers are written. A server has one style: that of its last dialect.
    fn style(&self) -> Style {
        Style::BitcoinCore
    }

    /// Whether its methods may be called without a login where [`crate::ServerConfig::open`] allows that. Methods
    /// that steer the node (such as `stop`) always need one.
    fn is_public(&self) -> bool {
        false
    }

    /// What is to be told of every change of the chain, if anything. Called once.
    fn follower(self: Arc<Self>) -> Option<Follower> {
        None
    }

    /// A WebSocket is gone; whatever was kept for it may go. Called once for each, on a thread that may block, also
    /// for connections this dialect never heard of.
    fn closed(&self, session: &Session) {
        let _ = session;
    }
}

/// Called with what has happened since the last call, in order, never twice at once, on a thread that may block. Notices
/// are hints: some may be missing when very many came at once. Whoever must not miss a block asks
/// [`chainwright_chain::Published::events`] from its own cursor whenever it is called.
pub type Follower = Box<dyn FnMut(&[Notice]) + Send>;

/// How requests are read and answers are written: fields, codes and words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Bitcoin Core's: JSON-RPC 1.0, 1.1 and 2.0; parameters by position or by name ([`Method::positional`]); the two
    /// old versions answer a failed single request with an HTTP error.
    #[default]
    BitcoinCore,
    /// JSON-RPC 2.0 as go-ethereum reads it: parameters by position, absent or null ([`Method::arguments`]); HTTP status
    /// 200 for every answer in JSON.
    JsonRpc2,
}

/// All methods of a server by name.
pub(crate) type Table = BTreeMap<&'static str, Method>;

/// The help of Bitcoin Core's `help` (`CRPCTable::help`): all methods by category, or one method.
pub(crate) fn help(table: &Table, wanted: &str) -> String {
    if !wanted.is_empty() {
        return match table.get(wanted) {
            Some(method) => method.help().trim_end_matches('\n').to_owned(),
            None => format!("help: unknown command: {wanted}"),
        };
    }
    let mut methods: Vec<_> = table.values().filter(|method| method.category != "hidden").collect();
    methods.sort_by_key(|method| (method.category, method.name));
    let mut text = String::new();
    let mut category = "";
    for method in methods {
        if method.category != category {
            let blank = if category.is_empty() { "" } else { "\n" };
            category = method.category;
            text.extend([blank, "== ", &capitalized(category), " ==\n"]);
        }
        text.push_str(&method.usage());
        text.push('\n');
    }
    text.pop();
    text
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
