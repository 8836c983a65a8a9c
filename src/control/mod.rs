//! How a running server is asked and told: a local socket for explain, status and what an operator has to say, and
//! two ports over HTTP ([`HttpListener`]): one for monitoring systems, which only read, and one for applications, which
//! say that they live.
//!
//! On the socket, one JSON object a line each way, on a Unix socket that only its owner may open:
//!
//! ```text
//!   {"explain":{"name":"www.example.org.","qtype":"A","from":"198.51.100.7","draw":0}}
//!   {"text":"...","data":{...}}                        or {"error":"..."}
//!   "watch"
//!   {"at":1700000000000,"text":"...","data":{...}}     and so on, until the asker leaves
//! ```

mod client;
mod http;
mod server;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use client::{ask, watch};
pub use http::{BeatKey, HttpListener, Refused};
pub use server::{Call, Listener};

use crate::health::Control;

/// What can be asked of a running server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What would be answered, and why.
    Explain(Explain),
    /// What it runs, who it hears, what is down.
    Status,
    /// Drain or force an endpoint, or (`control: null`) leave it to its checks again.
    Control {
        /// By name.
        endpoint: String,
        /// What.
        control: Option<Control>,
    },
    /// Use the recovered members of a pool again.
    Failback {
        /// By name.
        pool: String,
    },
    /// An application lives.
    Beat(Beat),
    /// Read the files again.
    Reload,
    /// What it counts, as OpenMetrics text.
    Metrics,
    /// Whether it answers queries yet; if not, the reply is a failure.
    Ready,
    /// What happens from now on, as it happens: one [`Happened`] a line until the asker leaves.
    Watch,
}

/// A question to explain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The name asked for, absolute.
    pub name: String,
    /// The type, as `A`.
    pub qtype: String,
    /// The client's address, or its subnet's first.
    pub from: IpAddr,
    /// How many bits of it are known.
    pub prefix: u8,
    /// The random number of the query.
    pub draw: u64,
}

/// A sign of life of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// The endpoint that it serves, by name.
    pub endpoint: String,
    /// The monitor that awaits it; `None`: all of that endpoint that await beats.
    pub monitor: Option<String>,
    /// The word that it says; `None`: `up`.
    pub say: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// For people.
    pub text: String,
    /// For programs.
    pub data: serde_json::Value,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reply {
    /// It is done.
    Done {
        /// For people.
        text: String,
        /// For programs.
        data: serde_json::Value,
    },
    /// It is not done.
    Failed {
        /// Why, and what to do.
        error: String,
    },
}

impl Reply {
    /// Done, with nothing but words.
    pub fn said(text: impl Into<String>) -> Self {
        Reply::Done { text: text.into(), data: serde_json::Value::Null }
    }

    /// Not done.
    pub fn failed(error: impl Into<String>) -> Self {
        Reply::Failed { error: error.into() }
    }
}

/// A longer line is refused: nothing that is asked needs more.
const REQUEST_MAX: u64 = 16 * 1024;
