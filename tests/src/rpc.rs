//! JSON-RPC over HTTP/1.1 with basic authentication, one connection per call.

use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait for one answer: a long `generate` or a deep reorganisation is one call.
const ANSWER_LIMIT: Duration = Duration::from_mins(5);

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The server answered with an error object.
    #[error("rpc error {code}: {message}")]
    Refused {
        /// The server's code, for example -8.
        code: i64,
        /// The server's words.
        message: String,
    },
    /// The server answered with something that is no JSON-RPC.
    #[error("http status {status}: {body}")]
    Http {
        /// Status of the answer, for example 401.
        status: u16,
        /// Its body as text.
        body: String,
    },
    /// There was no answer.
    #[error("no answer: {0}")]
    Io(#[from] std::io::Error),
}

/// How the caller proves who it is.
#[derive(Debug, Clone)]
enum Login {
    /// `user:password`.
    Password(String),
    /// A file with `user:password` in it, read for each call: the server writes a new one when it starts.
    Cookie(PathBuf),
    /// Anybody may call; the server speaks JSON-RPC 2.0.
    Nobody,
}

/// A JSON-RPC server on loopback.
#[derive(Debug, Clone)]
pub struct Rpc {
    address: SocketAddr,
    login: Login,
    /// What a request calls its version; servers in go-ethereum's style take nothing but 2.0.
    version: &'static str,
}

impl Rpc {
    /// A server that knows a user and a password.
    pub fn with_password(port: u16, user: &str, password: &str) -> Self {
        let login = Login::Password(format!("{user}:{password}"));
        Self { address: ([127, 0, 0, 1], port).into(), login, version: "1.0" }
    }

    /// A server that writes its login to a file.
    pub fn with_cookie(port: u16, file: PathBuf) -> Self {
        Self { address: ([127, 0, 0, 1], port).into(), login: Login::Cookie(file), version: "1.0" }
    }

    /// The same server, asked in JSON-RPC 2.0.
    #[must_use]
    pub fn in_version_two(self) -> Self {
        Self { version: "2.0", ..self }
    }

    /// A server that asks nobody for a login: an Ethereum node.
    pub fn open(port: u16) -> Self {
        Self { address: ([127, 0, 0, 1], port).into(), login: Login::Nobody, version: "2.0" }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// User and password, as `user:password`.
    ///
    /// # Errors
    ///
    /// The server has not written its cookie yet.
    pub fn login(&self) -> std::io::Result<String> {
        match &self.login {
            Login::Password(login) => Ok(login.clone()),
            Login::Nobody => Ok(String::new()),
            Login::Cookie(file) => Ok(std::fs::read_to_string(file)?.trim().to_owned()),
        }
    }

    /// Calls a method; `params` is an array or an object.
    ///
    /// # Errors
    ///
    /// [`RpcError::Refused`] with the server's code, or there was no proper answer.
    pub fn try_call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let request = json!({ "jsonrpc": self.version, "id": "tests", "method": method, "params": params });
        let (status, body) = self.post("/", &request.to_string())?;
        let answer: Value = serde_json::from_str(&body).map_err(|_| RpcError::Http { status, body })?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => Err(RpcError::Refused {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Calls a method that must succeed.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        match self.try_call(method, params) {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    /// Posts any text and gives status and body: for batches and for malformed requests.
    ///
    /// # Errors
    ///
    /// There was no proper answer.
    pub fn post(&self, path: &str, body: &str) -> Result<(u16, String), RpcError> {
        self.request("POST", path, body)
    }

    /// Gets a page such as `/health/live`.
    ///
    /// # Errors
    ///
    /// There was no proper answer.
    pub fn get(&self, path: &str) -> Result<(u16, String), RpcError> {
        self.request("GET", path, "")
    }

    fn request(&self, verb: &str, path: &str, body: &str) -> Result<(u16, String), RpcError> {
        let mut socket = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        socket.set_write_timeout(Some(ANSWER_LIMIT))?;
        let login = base64::engine::general_purpose::STANDARD.encode(self.login()?);
        let login = match self.login {
            Login::Nobody => String::new(),
            _ => format!("Authorization: Basic {login}\r\n"),
        };
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nHost: {}\r\n{login}\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        socket.write_all(head.as_bytes())?;
        socket.write_all(body.as_bytes())?;
        answer(&mut BufReader::new(socket))
    }
}

/// Reads one HTTP answer: status line, headers, and a body with a length, in chunks, or up to the end.
fn answer(stream: &mut impl BufRead) -> Result<(u16, String), RpcError> {
    let status = line(stream)?.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let mut length = None;
    let mut is_chunked = false;
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse::<u64>().ok(),
            Some(("transfer-encoding", value)) => is_chunked = value.contains("chunked"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    match length {
        _ if is_chunked => chunks(stream, &mut body)?,
        Some(length) => {
            stream.take(length).read_to_end(&mut body)?;
        }
        None => {
            stream.read_to_end(&mut body)?;
        }
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let size = line(stream)?;
        let digits = size.split(';').next().unwrap_or_default();
        match u64::from_str_radix(digits, 16) {
            Ok(length) if length > 0 => {
                stream.take(length).read_to_end(body)?;
                line(stream)?;
            }
            _ => return Ok(()),
        }
    }
}

fn line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_answer(bytes: &str, expected: (u16, &str)) {
        let (status, body) = answer(&mut bytes.as_bytes()).unwrap();
        assert_eq!((status, body.as_str()), expected);
    }

    #[test]
    fn answers_with_a_length_in_chunks_and_to_the_end_are_read() {
        check_answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there", (200, "hi"));
        check_answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
            (200, "hi!"),
        );
        check_answer("HTTP/1.0 401 Unauthorized\r\n\r\n401 who", (401, "401 who"));
    }
}
