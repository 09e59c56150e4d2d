//! JSON-RPC 1.0, 1.1 and 2.0, with the status codes of Bitcoin Core
//! (`httprpc.cpp` `ExecuteHTTPRPC`, `rpc/request.cpp`).
//!
//! Invariants:
//! - the two old versions answer a failed single request with an HTTP error, 2.0 and batches never do;
//! - a 2.0 request without `id` is executed and not answered.

use serde_json::{Map, Value, json};

use super::{Context, Executor, HttpReply};
use crate::error::{Answer, RpcError, code};

/// What is known of a request so far; an error reply needs whatever has been read before the error.
struct Request {
    id: Option<Value>,
    is_version_2: bool,
    method: String,
    params: Value,
}

impl Request {
    fn unread() -> Self {
        Self { id: Some(Value::Null), is_version_2: false, method: String::new(), params: Value::Null }
    }

    fn read(&mut self, request: Value) -> Result<(), RpcError> {
        let invalid = |message: &str| RpcError::new(code::INVALID_REQUEST, message);
        let Value::Object(mut request) = request else { return Err(invalid("Invalid Request object")) };
        self.id = request.remove("id");
        self.is_version_2 = match request.get("jsonrpc") {
            None | Some(Value::Null) => false,
            Some(Value::String(version)) if version == "1.0" => false,
            Some(Value::String(version)) if version == "2.0" => true,
            Some(Value::String(_)) => return Err(invalid("JSON-RPC version not supported")),
            Some(_) => return Err(invalid("jsonrpc field must be a string")),
        };
        self.method = match request.remove("method") {
            None | Some(Value::Null) => return Err(invalid("Missing method")),
            Some(Value::String(method)) => method,
            Some(_) => return Err(invalid("Method must be a string")),
        };
        self.params = match request.remove("params") {
            None | Some(Value::Null) => json!([]),
            Some(params @ (Value::Array(_) | Value::Object(_))) => params,
            Some(_) => return Err(invalid("Params must be an array or object")),
        };
        Ok(())
    }

    fn is_notification(&self) -> bool {
        self.id.is_none() && self.is_version_2
    }

    fn reply(&self, answer: Answer) -> Value {
        let mut reply = Map::new();
        if self.is_version_2 {
            reply.insert("jsonrpc".into(), json!("2.0"));
        }
        let (result, error) = match answer {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error.to_json())),
        };
        for (key, value) in [("result", result), ("error", error)] {
            match value {
                Some(value) => drop(reply.insert(key.into(), value)),
                None if !self.is_version_2 => drop(reply.insert(key.into(), Value::Null)),
                None => {}
            }
        }
        if let Some(id) = &self.id {
            reply.insert("id".into(), id.clone());
        }
        Value::Object(reply)
    }
}

impl Executor {
    /// Answers one body.
    pub(super) fn answer_core(&self, body: &[u8], context: &mut Context<'_>) -> HttpReply {
        match serde_json::from_slice(body) {
            Ok(Value::Array(batch)) => self.answer_batch(batch, context),
            Ok(request @ Value::Object(_)) => self.answer_single(request, context),
            Ok(_) => {
                failed(&Request::unread(), RpcError::new(code::PARSE_ERROR, "Top-level object parse error"))
            }
            Err(_) => failed(&Request::unread(), RpcError::new(code::PARSE_ERROR, "Parse error")),
        }
    }

    fn answer_single(&self, value: Value, context: &mut Context<'_>) -> HttpReply {
        let mut request = Request::unread();
        if let Err(error) = request.read(value) {
            return failed(&request, error);
        }
        match self.execute(&request.method, request.params.take(), context) {
            _ if request.is_notification() => HttpReply { status: 204, body: None },
            Err(error) if !request.is_version_2 => failed(&request, error),
            answer => HttpReply { status: 200, body: Some(request.reply(answer).to_string()) },
        }
    }

    fn answer_batch(&self, batch: Vec<Value>, context: &mut Context<'_>) -> HttpReply {
        if batch.len() > self.batch_max {
            let message =
                format!("Batch of {} requests is over the limit of {}", batch.len(), self.batch_max);
            return failed(&Request::unread(), RpcError::new(code::INVALID_REQUEST, message));
        }
        let is_empty = batch.is_empty();
        let mut request = Request::unread();
        let mut replies = Vec::with_capacity(batch.len());
        for value in batch {
            let read = request.read(value);
            let answer = read.and_then(|()| self.execute(&request.method, request.params.take(), context));
            if !request.is_notification() {
                replies.push(request.reply(answer));
            }
        }
        if replies.is_empty() && !is_empty {
            return HttpReply { status: 204, body: None };
        }
        HttpReply { status: 200, body: Some(Value::Array(replies).to_string()) }
    }
}

/// An error reply with the HTTP status the old versions want.
fn failed(request: &Request, error: RpcError) -> HttpReply {
    let status = match error.code {
        code::INVALID_REQUEST => 400,
        code::METHOD_NOT_FOUND => 404,
        _ => 500,
    };
    HttpReply { status, body: Some(request.reply(Err(error)).to_string()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dialect::{Style, Table};
    use crate::jsonrpc::Caller;
    use crate::method::{Kind, Method, Parameter};
    use crate::metrics::CallMetrics;

    fn executor() -> Executor {
        let echo = Method {
            name: "echo",
            category: "hidden",
            parameters: const { &[Parameter::optional("what", Kind::Any, "", "")] },
            description: "",
            handler: Arc::new(|call| match call.param(0) {
                Value::String(text) if text == "fail" => Err(RpcError::parameter("no")),
                value => Ok(value.clone()),
            }),
        };
        Executor {
            style: Style::BitcoinCore,
            public: [].into(),
            batch_reply_bytes_max: usize::MAX,
            table: Table::from([(echo.name, echo)]),
            metrics: CallMetrics::new(Arc::new(|| 0)),
            batch_max: 3,
            stopping: Arc::default(),
        }
    }

    #[track_caller]
    fn check_answer(body: &str, status: u16, expected: &str) {
        let caller = Caller { is_operator: true, session: None };
        let (reply, _) = executor().answer(body.as_bytes(), &caller);
        assert_eq!((reply.status, reply.body.unwrap_or_default().as_str()), (status, expected));
    }

    #[test]
    fn the_old_versions_answer_with_http_errors() {
        check_answer(r#"{"method":"echo","params":[7],"id":1}"#, 200, r#"{"result":7,"error":null,"id":1}"#);
        check_answer(
            r#"{"jsonrpc":"1.0","method":"echo","params":["fail"],"id":"x"}"#,
            500,
            r#"{"result":null,"error":{"code":-8,"message":"no"},"id":"x"}"#,
        );
        check_answer(
            r#"{"method":"nosuch","id":1}"#,
            404,
            r#"{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}"#,
        );
        check_answer(
            r#"{"method":3,"id":1}"#,
            400,
            r#"{"result":null,"error":{"code":-32600,"message":"Method must be a string"},"id":1}"#,
        );
        check_answer(
            "garbage",
            500,
            r#"{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}"#,
        );
        check_answer(
            "7",
            500,
            r#"{"result":null,"error":{"code":-32700,"message":"Top-level object parse error"},"id":null}"#,
        );
    }

    #[test]
    fn version_2_answers_in_the_body() {
        check_answer(
            r#"{"jsonrpc":"2.0","method":"echo","params":{"what":[]},"id":1}"#,
            200,
            r#"{"jsonrpc":"2.0","result":[],"id":1}"#,
        );
        check_answer(
            r#"{"jsonrpc":"2.0","method":"nosuch","id":null}"#,
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":null}"#,
        );
        check_answer(r#"{"jsonrpc":"2.0","method":"echo"}"#, 204, "");
        check_answer(
            r#"{"jsonrpc":"3.0","method":"echo","id":1}"#,
            400,
            r#"{"result":null,"error":{"code":-32600,"message":"JSON-RPC version not supported"},"id":1}"#,
        );
    }

    #[test]
    fn batches_never_fail_as_a_whole() {
        check_answer("[]", 200, "[]");
        check_answer(r#"[{"jsonrpc":"2.0","method":"echo"}]"#, 204, "");
        check_answer(
            r#"[{"method":"echo","id":1},{"jsonrpc":"2.0","method":"nosuch","id":2},3]"#,
            200,
            concat!(
                r#"[{"result":null,"error":null,"id":1},"#,
                r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":2},"#,
                r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request object"},"id":2}]"#
            ),
        );
        let too_many = "Batch of 4 requests is over the limit of 3";
        let error =
            format!(r#"{{"result":null,"error":{{"code":-32600,"message":"{too_many}"}},"id":null}}"#);
        check_answer("[1,2,3,4]", 400, &error);
    }
}
