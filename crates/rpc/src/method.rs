//! One callable method: its name, its parameters, its help, and the function that answers.
//!
//! Checking of names, numbers and types of parameters, and the help texts made of them, follow Bitcoin Core's
//! `RPCMethod` (`rpc/util.cpp`) and `transformNamedArguments` (`rpc/server.cpp`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chainwright_chain::Notice;
use futures_channel::mpsc;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::error::{Answer, RpcError, code};
use crate::session::Session;

/// The JSON type a parameter must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A string of hexadecimal digits.
    Hex,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A number or a string with a number; checked by the handler.
    Amount,
    /// A number by the help, but the handler looks itself (old clients send booleans).
    NumberLike,
    /// Anything; checked by the handler.
    Any,
    /// An array; shown as the given text in the usage line.
    Array(&'static str),
    /// An object; shown as the given text in the usage line.
    Object(&'static str),
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::String | Self::Hex => "string",
            Self::Number | Self::NumberLike => "numeric",
            Self::Bool => "boolean",
            Self::Amount => "numeric or string",
            Self::Any => "any",
            Self::Array(_) => "json array",
            Self::Object(_) => "json object",
        }
    }

    const fn expected(self) -> Option<&'static str> {
        match self {
            Self::String | Self::Hex => Some("string"),
            Self::Number => Some("number"),
            Self::Bool => Some("bool"),
            Self::Array(_) => Some("array"),
            Self::Object(_) => Some("object"),
            Self::Amount | Self::NumberLike | Self::Any => None,
        }
    }
}

/// One parameter of a method.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its names, the main one first, separated by `|`.
    pub names: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether calls must give it.
    pub is_required: bool,
    /// Its default as the help shows it; empty if there is nothing to say.
    pub default: &'static str,
    /// What it means.
    pub description: &'static str,
}

impl Parameter {
    /// A parameter every call gives.
    pub const fn required(names: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { names, kind, is_required: true, default: "", description }
    }

    /// A parameter that may be left out or null.
    pub const fn optional(
        names: &'static str,
        kind: Kind,
        default: &'static str,
        description: &'static str,
    ) -> Self {
        Self { names, kind, is_required: false, default, description }
    }

    fn first_name(&self) -> &'static str {
        self.names.split('|').next().unwrap_or_default()
    }

    fn usage(&self) -> String {
        match self.kind {
            Kind::String | Kind::Hex => format!("\"{}\"", self.first_name()),
            Kind::Array(text) | Kind::Object(text) => text.to_owned(),
            _ => self.first_name().to_owned(),
        }
    }

    fn explanation(&self) -> String {
        let necessity = match (self.is_required, self.default) {
            (true, _) => ", required".to_owned(),
            (false, "") => ", optional".to_owned(),
            (false, default) => format!(", optional, default={default}"),
        };
        format!("({}{necessity}) {}", self.kind.word(), self.description)
    }
}

/// The function behind a method.
pub type Handler = Arc<dyn Fn(&Call) -> Answer + Send + Sync>;

/// What can be called.
#[derive(Clone)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// The section of the help it stands in; `hidden` for none.
    pub category: &'static str,
    /// Its parameters in their order.
    pub parameters: &'static [Parameter],
    /// What it does, in sentences.
    pub description: &'static str,
    /// What answers; may block, and never runs on a thread of the asynchronous runtime.
    pub handler: Handler,
}

/// The JSON type's name in Bitcoin Core's error messages (`uvTypeName`).
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Method {
    /// How it is called, in one line.
    pub fn usage(&self) -> String {
        let mut text = self.name.to_owned();
        let mut was_optional = false;
        for parameter in self.parameters {
            text.push_str(match (was_optional, parameter.is_required) {
                (false, true) | (true, false) => " ",
                (false, false) => " ( ",
                (true, true) => " ) ",
            });
            was_optional = !parameter.is_required;
            text.push_str(&parameter.usage());
        }
        if was_optional {
            text.push_str(" )");
        }
        text
    }

    /// The whole help text.
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.usage(), self.description.trim());
        if !self.parameters.is_empty() {
            text.push_str("\nArguments:\n");
        }
        let heads =
            self.parameters.iter().enumerate().map(|(at, p)| format!("{}. {}", at + 1, p.first_name()));
        let heads: Vec<_> = heads.collect();
        let width = heads.iter().map(String::len).max().unwrap_or(0);
        for (head, parameter) in heads.iter().zip(self.parameters) {
            text.extend([&format!("{head:width$}"), "    ", &parameter.explanation(), "\n"]);
        }
        text
    }

    /// The parameters in their positions, checked for number and type.
    ///
    /// # Errors
    /// As Bitcoin Core: the help text as [`code::MISC_ERROR`] for a wrong number of parameters,
    /// [`code::TYPE_ERROR`] for wrong types, [`code::INVALID_PARAMETER`] for wrong names.
    pub fn positional(&self, params: Value) -> Result<Vec<Value>, RpcError> {
        let mut values = match params {
            Value::Array(values) => values,
            Value::Object(named) => self.named_to_positional(named)?,
            _ => Vec::new(),
        };
        let required = self.parameters.iter().rposition(|p| p.is_required).map_or(0, |last| last + 1);
        if values.len() < required || values.len() > self.parameters.len() {
            return Err(RpcError::misc(self.help()));
        }
        self.check_types(&values)?;
        values.resize(self.parameters.len(), Value::Null);
        Ok(values)
    }

    /// The parameters in their positions as JSON-RPC 2.0 wants them, in go-ethereum's words (`rpc/json.go`
    /// `parsePositionalArguments`): none may be `null` or absent, optional ones may be `null`.
    ///
    /// # Errors
    /// [`code::INVALID_PARAMS`].
    pub fn arguments(&self, params: Value) -> Result<Vec<Value>, RpcError> {
        let mut values = match params {
            Value::Null => Vec::new(),
            Value::Array(values) => values,
            _ => return Err(RpcError::invalid_params("non-array args")),
        };
        let most = self.parameters.len();
        if values.len() > most {
            return Err(RpcError::invalid_params(format!("too many arguments, want at most {most}")));
        }
        values.resize(most, Value::Null);
        for (at, (parameter, value)) in self.parameters.iter().zip(&values).enumerate() {
            if value.is_null() {
                if parameter.is_required {
                    let message = format!("missing value for required argument {at}");
                    return Err(RpcError::invalid_params(message));
                }
                continue;
            }
            if let Some(expected) = parameter.kind.expected()
                && type_name(value) != expected
            {
                let what = not_of_type(value, expected).message;
                return Err(RpcError::invalid_params(format!("invalid argument {at}: {what}")));
            }
        }
        Ok(values)
    }

    fn check_types(&self, values: &[Value]) -> Result<(), RpcError> {
        let mut wrong = Map::new();
        for (at, parameter) in self.parameters.iter().enumerate() {
            let value = values.get(at).unwrap_or(&Value::Null);
            let Some(expected) = parameter.kind.expected() else { continue };
            let actual = type_name(value);
            if actual != expected && (parameter.is_required || !value.is_null()) {
                let place = format!("Position {} ({})", at + 1, parameter.names);
                let what = format!("JSON value of type {actual} is not of expected type {expected}");
                wrong.insert(place, json!(what));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(RpcError::wrong_type(format!("Wrong type passed:\n{}", indented(&wrong))))
    }

    fn named_to_positional(&self, mut named: Map<String, Value>) -> Result<Vec<Value>, RpcError> {
        let mut values = Vec::new();
        let mut hole = 0;
        let mut initial: Option<(usize, &str)> = None;
        for parameter in self.parameters {
            let Some(value) = parameter.names.split('|').find_map(|name| named.remove(name)) else {
                hole += 1;
                continue;
            };
            if initial.is_none() {
                initial = Some((hole, parameter.names));
            }
            values.extend(std::iter::repeat_n(Value::Null, hole));
            hole = 0;
            values.push(value);
        }
        if let Some(Value::Array(mut positional)) = named.remove("args") {
            if let Some((free, name)) = initial
                && free < positional.len()
            {
                let twice = format!("Parameter {name} specified twice both as positional and named argument");
                return Err(RpcError::parameter(twice));
            }
            positional.extend(values.into_iter().skip(positional.len()).collect::<Vec<_>>());
            values = positional;
        }
        match named.keys().next() {
            Some(unknown) => Err(RpcError::parameter(format!("Unknown named parameter {unknown}"))),
            None => Ok(values),
        }
    }
}

/// An object of strings with one entry a line, indented by four.
fn indented(object: &Map<String, Value>) -> String {
    let lines: Vec<_> =
        object.iter().map(|(key, value)| format!("    {}: {value}", Value::from(key.as_str()))).collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// One call on its way to its handler.
pub struct Call {
    /// The parameters in their positions; what was left out is null.
    pub params: Vec<Value>,
    /// Set when the server stops; whoever waits looks at it.
    pub stopping: Arc<AtomicBool>,
    pub(crate) session: Option<Session>,
    pub(crate) after: Mutex<Vec<AfterReply>>,
}

/// What is done once a reply is on its way.
pub(crate) type AfterReply = Box<dyn FnOnce() + Send>;

/// How long a waiting handler sleeps before it looks at [`Call::stopping`] again.
const WAIT_SLICE: Duration = Duration::from_millis(500);

impl Call {
    /// A call outside of a server, for tests and for tools.
    pub fn new(params: Vec<Value>) -> Self {
        Self { params, stopping: Arc::default(), session: None, after: Mutex::default() }
    }

    /// The same call over a connection that takes messages.
    #[must_use]
    pub fn over(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    /// The connection to push messages into.
    ///
    /// # Errors
    /// [`RpcError::notifications_unsupported`] over plain HTTP.
    pub fn session(&self) -> Result<&Session, RpcError> {
        self.session.as_ref().ok_or_else(RpcError::notifications_unsupported)
    }

    /// Does something once the reply to this call (or to its whole batch) stands in the connection's queue: whatever it
    /// pushes comes after the reply. It runs on a thread of the asynchronous runtime: it must be short and not block.
    pub fn after_reply(&self, action: impl FnOnce() + Send + 'static) {
        self.after.lock().push(Box::new(action));
    }

    /// What the server does when the reply stands in the queue, for tests of handlers: runs what
    /// [`Call::after_reply`] was given.
    pub fn reply_is_sent(&self) {
        let actions = std::mem::take(&mut *self.after.lock());
        for action in actions {
            action();
        }
    }

    /// Whether the server stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The parameter at a position; null if it was left out.
    pub fn param(&self, at: usize) -> &Value {
        self.params.get(at).unwrap_or(&Value::Null)
    }

    /// A string; `None` if it was left out.
    pub fn text(&self, at: usize) -> Option<&str> {
        self.param(at).as_str()
    }

    /// A whole number.
    ///
    /// # Errors
    /// Bitcoin Core's words for a number that does not fit.
    pub fn integer<T: TryFrom<i64>>(&self, at: usize) -> Result<Option<T>, RpcError> {
        match self.param(at) {
            Value::Null => Ok(None),
            value => integer(value).map(Some),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, at: usize) -> Result<Option<bool>, RpcError> {
        match self.param(at) {
            Value::Null => Ok(None),
            Value::Bool(flag) => Ok(Some(*flag)),
            other => Err(not_of_type(other, "bool")),
        }
    }

    /// Waits for a notice at most so long and only until the server stops; whether there may be news.
    /// To be called on a thread where blocking is allowed, inside the runtime.
    pub fn wait(&self, notices: &mut mpsc::Receiver<Notice>, at_most: Duration) -> bool {
        let slice = at_most.min(WAIT_SLICE);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            std::thread::sleep(slice.min(Duration::from_millis(10)));
            return true;
        };
        runtime
            .block_on(async { tokio::time::timeout(slice, notices.next()).await })
            .is_ok_and(|notice| notice.is_some_and(|notice| notice != Notice::Stopping))
    }
}

/// A whole number in a JSON value.
///
/// # Errors
/// Bitcoin Core's words: `JSON integer out of range`, or the types that differ.
pub fn integer<T: TryFrom<i64>>(value: &Value) -> Result<T, RpcError> {
    let out_of_range = || RpcError::misc("JSON integer out of range");
    match value {
        Value::Number(number) => {
            number.as_i64().and_then(|number| T::try_from(number).ok()).ok_or_else(out_of_range)
        }
        other => Err(not_of_type(other, "number")),
    }
}

/// The error of a value that has another type than its place.
pub fn not_of_type(value: &Value, expected: &str) -> RpcError {
    RpcError::new(
        code::TYPE_ERROR,
        format!("JSON value of type {} is not of expected type {expected}", type_name(value)),
    )
}

#[cfg(test)]
mod tests;
