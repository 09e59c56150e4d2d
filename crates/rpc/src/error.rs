//! What goes wrong in a call, as JSON-RPC tells it: a number for programs, a sentence for people.

use serde_json::{Value, json};

/// The codes of Bitcoin Core's `rpc/protocol.h`, which every dialect on the shell shares for what is not its own.
pub mod code {
    /// The request is no request object.
    pub const INVALID_REQUEST: i32 = -32600;
    /// There is no method of that name.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// Parameters do not fit the method (JSON-RPC 2.0).
    pub const INVALID_PARAMS: i32 = -32602;
    /// Something broke on our side: a disk, an invariant.
    pub const INTERNAL_ERROR: i32 = -32603;
    /// The body is not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// The answers of a batch grew over the limit (go-ethereum `rpc/errors.go`).
    pub const RESPONSE_TOO_LARGE: i32 = -32003;
    /// Anything that has no code of its own.
    pub const MISC_ERROR: i32 = -1;
    /// A parameter has the wrong JSON type.
    pub const TYPE_ERROR: i32 = -3;
    /// No such address, key, block or transaction.
    pub const INVALID_ADDRESS_OR_KEY: i32 = -5;
    /// A parameter is missing, out of range or contradictory.
    pub const INVALID_PARAMETER: i32 = -8;
    /// The node is not connected to the network.
    pub const CLIENT_NOT_CONNECTED: i32 = -9;
    /// The node is still downloading the chain.
    pub const CLIENT_IN_INITIAL_DOWNLOAD: i32 = -10;
    /// The stored chain does not allow it.
    pub const DATABASE_ERROR: i32 = -20;
    /// Hex that decodes to nothing.
    pub const DESERIALIZATION_ERROR: i32 = -22;
    /// The node was added before.
    pub const CLIENT_NODE_ALREADY_ADDED: i32 = -23;
    /// The node was never added.
    pub const CLIENT_NODE_NOT_ADDED: i32 = -24;
    /// Submitting a transaction or block failed.
    pub const VERIFY_ERROR: i32 = -25;
    /// A transaction or block breaks rules.
    pub const VERIFY_REJECTED: i32 = -26;
    /// The transaction is in the chain already.
    pub const VERIFY_ALREADY_IN_UTXO_SET: i32 = -27;
    /// The node is starting.
    pub const IN_WARMUP: i32 = -28;
    /// The node to disconnect is not connected.
    pub const CLIENT_NODE_NOT_CONNECTED: i32 = -29;
    /// Peer-to-peer networking is off.
    pub const CLIENT_P2P_DISABLED: i32 = -31;
}

/// An error object of JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// What programs look at; see [`code`].
    pub code: i32,
    /// What people read.
    pub message: String,
    /// What else programs look at, such as the bytes a contract reverted with; left out of the reply if `None`.
    pub data: Option<Value>,
}

impl RpcError {
    /// An error of a code.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// [`code::MISC_ERROR`].
    pub fn misc(message: impl Into<String>) -> Self {
        Self::new(code::MISC_ERROR, message)
    }

    /// [`code::INVALID_PARAMETER`].
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMETER, message)
    }

    /// [`code::INVALID_ADDRESS_OR_KEY`].
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_ADDRESS_OR_KEY, message)
    }

    /// [`code::TYPE_ERROR`].
    pub fn wrong_type(message: impl Into<String>) -> Self {
        Self::new(code::TYPE_ERROR, message)
    }

    /// [`code::DESERIALIZATION_ERROR`].
    pub fn undecodable(message: impl Into<String>) -> Self {
        Self::new(code::DESERIALIZATION_ERROR, message)
    }

    /// [`code::INVALID_PARAMS`], as JSON-RPC 2.0 has it.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// The error of a method that pushes messages, called over a connection that cannot take them (go-ethereum
    /// `ErrNotificationsUnsupported`).
    pub fn notifications_unsupported() -> Self {
        Self::new(code::METHOD_NOT_FOUND, "notifications not supported")
    }

    /// The same error with [`RpcError::data`].
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// The object as replies carry it.
    pub fn to_json(&self) -> Value {
        let mut object = json!({ "code": self.code, "message": self.message });
        if let Some(data) = &self.data {
            object["data"] = data.clone();
        }
        object
    }
}

/// A failure of the node itself.
impl From<chainwright_chain::Fault> for RpcError {
    fn from(fault: chainwright_chain::Fault) -> Self {
        Self::new(code::INTERNAL_ERROR, fault.to_string())
    }
}

/// What a handler gives back.
pub type Answer = Result<Value, RpcError>;
