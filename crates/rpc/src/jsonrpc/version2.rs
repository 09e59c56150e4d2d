//! JSON-RPC 2.0 alone, in go-ethereum's words (`rpc/handler.go`, `rpc/json.go`).
//!
//! Invariants:
//! - every answer in JSON has HTTP status 200;
//! - a call without `id` is executed and not answered; `params` may be absent or null.

use serde_json::{Map, Value, json};

use super::{Context, Executor, HttpReply};
use crate::error::{Answer, RpcError, code};

/// What one element of a body is.
enum Message {
    /// Is answered, with this id.
    Call(Value, String, Value),
    /// Is executed in silence.
    Notification(String, Value),
    /// Is no request; the id to answer with.
    Invalid(Value),
}

impl Message {
    fn read(value: Value) -> Self {
        let Value::Object(mut request) = value else { return Self::Invalid(Value::Null) };
        // As go-ethereum: an id that is an object or an array is none, an explicit null is one.
        let id = request.remove("id");
        let is_valid_id = !matches!(id, Some(Value::Object(_) | Value::Array(_)));
        let is_version_2 = request.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
        let params = request.remove("params").unwrap_or_default();
        match (request.remove("method"), id) {
            (Some(Value::String(method)), None) if is_version_2 && !method.is_empty() => {
                Self::Notification(method, params)
            }
            (Some(Value::String(method)), Some(id)) if is_version_2 && is_valid_id && !method.is_empty() => {
                Self::Call(id, method, params)
            }
            (_, id) => Self::Invalid(id.filter(|_| is_valid_id).unwrap_or_default()),
        }
    }
}

fn reply(id: Value, answer: Answer) -> Value {
    let mut reply = Map::new();
    reply.insert("jsonrpc".into(), json!("2.0"));
    reply.insert("id".into(), id);
    match answer {
        Ok(result) => reply.insert("result".into(), result),
        Err(error) => reply.insert("error".into(), error.to_json()),
    };
    Value::Object(reply)
}

fn failed(id: Value, code: i32, message: &str) -> Value {
    reply(id, Err(RpcError::new(code, message)))
}

fn ok(body: Option<String>) -> HttpReply {
    HttpReply { status: 200, body }
}

impl Executor {
    /// Answers one body.
    pub(super) fn answer_version2(&self, body: &[u8], context: &mut Context<'_>) -> HttpReply {
        match serde_json::from_slice(body) {
            Ok(Value::Array(batch)) => self.answer_batch_2(batch, context),
            Ok(value) => ok(self.answer_one_2(Message::read(value), context).map(|reply| reply.to_string())),
            Err(_) => ok(Some(failed(Value::Null, code::PARSE_ERROR, "parse error").to_string())),
        }
    }

    fn answer_one_2(&self, message: Message, context: &mut Context<'_>) -> Option<Value> {
        match message {
            Message::Call(id, method, params) => Some(reply(id, self.execute(&method, params, context))),
            Message::Notification(method, params) => {
                let _ = self.execute(&method, params, context);
                None
            }
            Message::Invalid(id) => Some(failed(id, code::INVALID_REQUEST, "invalid request")),
        }
    }

    fn answer_batch_2(&self, batch: Vec<Value>, context: &mut Context<'_>) -> HttpReply {
        if batch.is_empty() {
            return ok(Some(failed(Value::Null, code::INVALID_REQUEST, "empty batch").to_string()));
        }
        let is_too_large = batch.len() > self.batch_max;
        let mut replies = Vec::new();
        let mut bytes = 0;
        for value in batch {
            let message = Message::read(value);
            let reply = match message {
                // The first call alone carries the error.
                Message::Call(id, ..) if is_too_large => {
                    replies.push(failed(id, code::INVALID_REQUEST, "batch too large").to_string());
                    break;
                }
                _ if is_too_large => continue,
                Message::Call(id, ..) if bytes > self.batch_reply_bytes_max => {
                    Some(failed(id, code::RESPONSE_TOO_LARGE, "response too large"))
                }
                message => self.answer_one_2(message, context),
            };
            if let Some(reply) = reply {
                let reply = reply.to_string();
                bytes += reply.len();
                replies.push(reply);
            }
        }
        ok((!replies.is_empty()).then(|| format!("[{}]", replies.join(","))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::dialect::{Style, Table};
    use crate::jsonrpc::Caller;
    use crate::method::{Kind, Method, Parameter};
    use crate::metrics::CallMetrics;

    use super::*;

    fn executor() -> Executor {
        const PARAMETERS: &[Parameter] =
            &[Parameter::required("what", Kind::Any, ""), Parameter::optional("times", Kind::Number, "", "")];
        let echo = Method {
            name: "echo",
            category: "hidden",
            parameters: PARAMETERS,
            description: "",
            handler: Arc::new(|call| match call.param(0) {
                Value::String(text) if text == "revert" => {
                    Err(RpcError::new(3, "execution reverted").with_data(json!("0x08c379a0")))
                }
                value => Ok(value.clone()),
            }),
        };
        let nothing = Method {
            name: "nothing",
            parameters: &[],
            handler: Arc::new(|call| call.session().map(|_| Value::Null)),
            ..echo.clone()
        };
        let stop = Method { name: "stop", ..nothing.clone() };
        Executor {
            style: Style::JsonRpc2,
            table: Table::from([(echo.name, echo), (nothing.name, nothing), (stop.name, stop)]),
            public: ["echo", "nothing"].into(),
            metrics: CallMetrics::new(Arc::new(|| 0)),
            batch_max: 3,
            batch_reply_bytes_max: 100,
            stopping: Arc::default(),
        }
    }

    #[track_caller]
    fn check_answer(body: &str, expected: &str) {
        let (reply, _) = executor().answer(body.as_bytes(), &Caller::default());
        assert_eq!((reply.status, reply.body.unwrap_or_default().as_str()), (200, expected));
    }

    #[track_caller]
    fn check_error(request: &str, id: &str, code: i32, message: &str) {
        let error = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        check_answer(request, &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
    }

    #[test]
    fn single_calls_are_answered_with_their_id_first() {
        check_answer(
            r#"{"jsonrpc":"2.0","method":"echo","params":["a"],"id":"x"}"#,
            r#"{"jsonrpc":"2.0","id":"x","result":"a"}"#,
        );
        check_answer(
            r#"{"jsonrpc":"2.0","method":"echo","params":["revert"],"id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}"#,
        );
        check_answer(r#"{"jsonrpc":"2.0","method":"echo","params":["a"]}"#, "");
        check_error("garbage", "null", -32700, "parse error");
        check_error("7", "null", -32600, "invalid request");
        check_error(r#"{"method":"echo","params":[1],"id":5}"#, "5", -32600, "invalid request");
        check_error(r#"{"jsonrpc":"2.0","method":"echo","id":{}}"#, "null", -32600, "invalid request");
    }

    #[test]
    fn parameters_go_by_position_and_may_be_absent() {
        let call =
            |method: &str, params: &str| format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params},"id":1}}"#);
        let error = |params, message: &str| check_error(&call("echo", params), "1", -32602, message);
        error("", "missing value for required argument 0");
        error(r#","params":null"#, "missing value for required argument 0");
        error(r#","params":[null]"#, "missing value for required argument 0");
        error(r#","params":{"what":1}"#, "non-array args");
        error(r#","params":[1,2,3]"#, "too many arguments, want at most 2");
        let wrong = "invalid argument 1: JSON value of type string is not of expected type number";
        error(r#","params":[1,"2"]"#, wrong);
        check_answer(&call("echo", r#","params":[1,null]"#), r#"{"jsonrpc":"2.0","id":1,"result":1}"#);
        let unsupported = "notifications not supported";
        check_error(&call("nothing", ""), "1", -32601, unsupported);
        check_error(&call("nothing", r#","params":null"#), "1", -32601, unsupported);
        check_error(&call("no", ""), "1", -32601, "the method no does not exist/is not available");
        check_error(&call("stop", ""), "1", -32601, "the method stop needs the operator's login");
    }

    #[test]
    fn batches_have_limits() {
        check_error("[]", "null", -32600, "empty batch");
        let call = |id: u32, what: &str| {
            format!(r#"{{"jsonrpc":"2.0","method":"echo","params":["{what}"],"id":{id}}}"#)
        };
        let answer = |id: u32, what: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{what}"}}"#);
        let silent = r#"{"jsonrpc":"2.0","method":"echo","params":[1]}"#;
        check_answer(&format!("[{silent}]"), "");
        let body = format!("[{},{silent},{}]", call(1, "a"), call(2, "b"));
        check_answer(&body, &format!("[{},{}]", answer(1, "a"), answer(2, "b")));
        let error = |id: u32, code: i32, message: &str| {
            format!(r#"[{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}]"#)
        };
        let body = format!("[{silent},{},{},{}]", call(7, "a"), call(8, "a"), call(9, "a"));
        check_answer(&body, &error(7, -32600, "batch too large"));
        let long = "a".repeat(200);
        let body = format!("[{},{}]", call(1, &long), call(2, "b"));
        let refused = error(2, -32003, "response too large");
        check_answer(&body, &format!("[{},{}", answer(1, &long), &refused[1..]));
    }
}
