//! Asking a running node: JSON-RPC over HTTP/1.1, one kept connection, the cookie read when it is needed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::error::{CliError, CliResult};

/// How long a node may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one answer may take: mining many blocks is one call.
const ANSWER_LIMIT: Duration = Duration::from_mins(10);
/// Answers longer than this are not read.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// How the caller shows who it is.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    /// A file with `user:password` in it, read for every connection: the node writes a new one when it starts.
    Cookie(PathBuf),
    /// `user:password`.
    Password(String),
    /// None is known, and some servers ask for none.
    Nobody,
}

/// A node's RPC server.
pub(crate) struct Rpc {
    /// Host and port.
    address: String,
    login: Login,
    connection: Option<BufReader<TcpStream>>,
}

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcError {
    /// Nobody answers.
    #[error("{0}")]
    NoAnswer(String),
    /// The server does not know us.
    #[error("the server does not accept the login")]
    Unauthorized,
    /// The server refused, with its code and words.
    #[error("{message} (code {code})")]
    Refused {
        /// The server's code, for example -8.
        code: i64,
        /// The server's words.
        message: String,
    },
}

impl Rpc {
    /// A server at `host:port`.
    pub(crate) fn new(address: impl Into<String>, login: Login) -> Self {
        Self { address: address.into(), login, connection: None }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Calls a method with positional parameters.
    ///
    /// # Errors
    /// [`RpcError`].
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        let request = json!({ "jsonrpc": "2.0", "id": "chainwright", "method": method, "params": params });
        let body = request.to_string();
        let had_connection = self.connection.is_some();
        let (status, answer) = match self.exchange(&body) {
            // A kept connection may have been closed meanwhile; a fresh one decides.
            Err(_) if had_connection => self.exchange(&body),
            other => other,
        }
        .map_err(|error| RpcError::NoAnswer(format!("no answer from {}: {error}", self.address)))?;
        if status == 401 || status == 403 {
            return Err(RpcError::Unauthorized);
        }
        let answer: Value = serde_json::from_slice(&answer).map_err(|_| {
            RpcError::NoAnswer(format!("{} answers with HTTP status {status} and no JSON", self.address))
        })?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => Err(RpcError::Refused {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or("no reason given").to_owned(),
            }),
        }
    }

    /// As [`Rpc::call`], with an error a person can act on.
    ///
    /// # Errors
    /// When there is no result.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> CliResult<Value> {
        self.call(method, params).map_err(|error| self.explain(method, &error))
    }

    /// An error a person can act on.
    pub(crate) fn explain(&self, method: &str, error: &RpcError) -> CliError {
        match error {
            RpcError::NoAnswer(what) => CliError::no_answer(what.clone())
                .hint("start a network with `chainwright dev`, or name a running node with --rpc HOST:PORT"),
            RpcError::Unauthorized => CliError::failed(format!("{} does not accept the login", self.address))
                .hint("name the node's .cookie with --cookie FILE, or give --user NAME:PASSWORD"),
            RpcError::Refused { code, message } => {
                CliError::failed(format!("{method}: {message} (code {code})"))
            }
        }
    }

    fn exchange(&mut self, body: &str) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => BufReader::new(connect(&self.address)?),
        };
        let login = self.login.text()?.map_or_else(String::new, |login| {
            let login = base64::engine::general_purpose::STANDARD.encode(login);
            format!("Authorization: Basic {login}\r\n")
        });
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\n{login}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body.as_bytes());
        stream.get_mut().write_all(&request)?;
        let answer = read_answer(&mut stream)?;
        if answer.keep {
            self.connection = Some(stream);
        }
        Ok((answer.status, answer.body))
    }
}

impl Login {
    fn text(&self) -> std::io::Result<Option<String>> {
        match self {
            Self::Password(text) => Ok(Some(text.clone())),
            Self::Cookie(file) => read_cookie(file).map(Some),
            Self::Nobody => Ok(None),
        }
    }
}

fn read_cookie(file: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot read the cookie {}: {error}", file.display()))
    })?;
    Ok(text.trim().to_owned())
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_LIMIT))?;
                stream.set_write_timeout(Some(ANSWER_LIMIT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One HTTP answer.
struct Answer {
    status: u16,
    body: Vec<u8>,
    /// Whether the connection can be used again.
    keep: bool,
}

fn read_answer(stream: &mut impl BufRead) -> std::io::Result<Answer> {
    let first = line(stream)?;
    let malformed = || std::io::Error::other("the answer is no HTTP");
    let status = first.split_whitespace().nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    let (mut length, mut is_chunked, mut keep) = (None, false, first.starts_with("HTTP/1.1"));
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => length = value.parse::<u64>().ok(),
            Some(("transfer-encoding", value)) => is_chunked = value.contains("chunked"),
            Some(("connection", "close")) => keep = false,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    match length {
        _ if is_chunked => read_chunks(stream, &mut body)?,
        Some(length) => {
            let got = stream.take(length.min(ANSWER_BYTES_MAX)).read_to_end(&mut body)?;
            if (got as u64) < length {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        None => {
            keep = false;
            stream.take(ANSWER_BYTES_MAX).read_to_end(&mut body)?;
        }
    }
    Ok(Answer { status, body, keep })
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let size = line(stream)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16).map_err(std::io::Error::other)?;
        if body.len() as u64 + length > ANSWER_BYTES_MAX {
            return Err(std::io::Error::other("the answer is too long"));
        }
        stream.take(length).read_to_end(body)?;
        line(stream)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    if stream.take(64 << 10).read_line(&mut text)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &str, expected: (u16, &str, bool)) {
        let answer = read_answer(&mut bytes.as_bytes()).unwrap();
        assert_eq!((answer.status, String::from_utf8(answer.body).unwrap().as_str(), answer.keep), expected);
    }

    #[test]
    fn answers_with_a_length_in_chunks_and_to_the_end_are_read() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there", (200, "hi", true));
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        check(chunks, (200, "hi!", true));
        check("HTTP/1.0 401 Unauthorized\r\n\r\nwho", (401, "who", false));
        check("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", (200, "", false));
    }

    #[test]
    fn what_is_cut_off_or_no_http_is_an_error() {
        for bytes in ["", "nonsense", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"] {
            assert!(read_answer(&mut bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
