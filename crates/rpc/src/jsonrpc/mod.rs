//! JSON-RPC, single and in batches, in the style of the server's dialect; over HTTP and WebSockets.

mod core;
mod version2;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use serde_json::Value;

use crate::dialect::{Style, Table};
use crate::error::{Answer, RpcError, code};
use crate::method::{AfterReply, Call};
use crate::metrics::CallMetrics;
use crate::session::Session;

/// What goes back over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    /// JSON, or nothing.
    pub(crate) body: Option<String>,
}

/// Who calls.
#[derive(Clone, Default)]
pub(crate) struct Caller {
    /// Whether the caller has shown a login.
    pub(crate) is_operator: bool,
    /// Where messages can be pushed.
    pub(crate) session: Option<Session>,
}

/// Runs requests.
pub(crate) struct Executor {
    pub(crate) style: Style,
    pub(crate) table: Table,
    /// Names of the methods that need no login where the server is open.
    pub(crate) public: BTreeSet<&'static str>,
    pub(crate) metrics: CallMetrics,
    pub(crate) batch_max: usize,
    /// Bytes of a batch's answers after which its further calls fail.
    pub(crate) batch_reply_bytes_max: usize,
    pub(crate) stopping: Arc<AtomicBool>,
}

/// One body's calls: who makes them, and what they leave to be done after the reply.
struct Context<'c> {
    caller: &'c Caller,
    after: Vec<AfterReply>,
}

impl Executor {
    /// Answers the body of one HTTP request, or one message of a WebSocket; with what is to be done once the reply is
    /// on its way. Blocks.
    pub(crate) fn answer(&self, body: &[u8], caller: &Caller) -> (HttpReply, Vec<AfterReply>) {
        let mut context = Context { caller, after: Vec::new() };
        let reply = match self.style {
            Style::BitcoinCore => self.answer_core(body, &mut context),
            Style::JsonRpc2 => self.answer_version2(body, &mut context),
        };
        (reply, context.after)
    }

    fn execute(&self, name: &str, params: Value, context: &mut Context<'_>) -> Answer {
        let Some(method) = self.table.get(name) else {
            self.metrics.unknown();
            return Err(RpcError::new(code::METHOD_NOT_FOUND, self.not_found(name)));
        };
        if !context.caller.is_operator && !self.public.contains(method.name) {
            let message = format!("the method {name} needs the operator's login");
            return Err(RpcError::new(code::METHOD_NOT_FOUND, message));
        }
        let running = self.metrics.start(method.name);
        let params = match self.style {
            Style::BitcoinCore => method.positional(params),
            Style::JsonRpc2 => method.arguments(params),
        };
        let answer = params.and_then(|params| {
            let (stopping, session) = (Arc::clone(&self.stopping), context.caller.session.clone());
            let call = Call { params, stopping, session, after: Mutex::default() };
            let answer = (method.handler)(&call);
            context.after.append(&mut call.after.lock());
            answer
        });
        running.finish(answer.is_ok());
        answer
    }

    fn not_found(&self, name: &str) -> String {
        match self.style {
            Style::BitcoinCore => "Method not found".to_owned(),
            Style::JsonRpc2 => format!("the method {name} does not exist/is not available"),
        }
    }
}
