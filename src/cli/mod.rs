//! The command line: what can be asked for. What it does is in [`crate::app`].

mod keys;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

pub use keys::{KeyAlgorithm, KeyOfZone, KeyRole, Keys};

/// A DNS-based global traffic manager: every query is answered with the nearest healthy endpoint for that
/// client, and every answer can be explained.
///
/// New here? `windrose demo` shows a whole small world on this machine.
#[derive(Debug, Parser)]
#[command(name = "windrose", version, arg_required_else_help = true)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 the input is wrong.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer DNS, and check the endpoints
    ///
    /// Reads the configuration of this machine and the zones, checks the endpoints, and answers from what
    /// it knows. SIGHUP, or a change of the zones, reloads: all or nothing. SIGTERM stops it gracefully.
    Serve {
        /// Which machine.
        #[command(flatten)]
        config: Config,
    },
    /// Be a probe in a region: check the endpoints, and report to the fleet
    ///
    /// Checks what the zones ask for, from where this machine stands ([machine] region), and reports to all servers of
    /// the fleet ([fleet] nats). Answers no queries. A server has a probe of its own unless told otherwise.
    Probe {
        /// Which machine.
        #[command(flatten)]
        config: Config,
    },
    /// Show every error and warning in configuration and zones
    ///
    /// Also the worst-case failover time of each steered name: detection + publication + cached answers.
    /// Fails (status 2) on an error, or when a name cannot keep the `rto` it declares.
    Check {
        /// Which machine.
        #[command(flatten)]
        config: Config,
        /// How to print.
        #[command(flatten)]
        format: Format,
        /// Print the JSON schema of a kind of file instead, for editors
        #[arg(long, value_name = "KIND")]
        schema: Option<Schema>,
    },
    /// Show what would be answered, and every step of why
    ///
    /// Asks the running server; without one (or with --offline, --down) works from the files, with every
    /// endpoint up that is not said to be down.
    #[command(after_help = "Example: windrose explain www.example.org A --from 198.51.100.7 --down fra")]
    Explain {
        /// The name, as dig takes it
        name: String,
        /// The type
        #[arg(default_value = "A", value_name = "TYPE")]
        qtype: String,
        /// The client: an address, or a subnet as ECS carries it
        #[arg(long, value_name = "ADDRESS", value_parser = client, default_value = "127.0.0.1")]
        from: IpNet,
        /// From the files, with these endpoints down
        #[arg(long, value_name = "ENDPOINT", value_delimiter = ',')]
        down: Vec<String>,
        /// From the files, even if a server runs
        #[arg(long)]
        offline: bool,
        /// The random number of the query, for weighted pools and rotation
        #[arg(long, default_value_t = 0)]
        draw: u64,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
        /// How to print.
        #[command(flatten)]
        format: Format,
    },
    /// Show where clients are: region on each map, what decided, scope, distances
    ///
    /// Works from the files, as a server on this machine would read them now: the rules of the zones, and the geo
    /// databases of the configuration. The scope is the widest prefix in which every client is in the same region.
    /// An IPv6 address that holds an IPv4 address (mapped, NAT64, 6to4, Teredo) is looked up as that.
    ///
    /// With --format json each address is an object on a line of its own; `at_from` says whether its place is
    /// known from a `database`, or taken to be the `hub` of its country, or that of its `region`.
    #[command(after_help = LOCATE_EXAMPLES)]
    Locate {
        /// Addresses, or subnets as ECS carries them; `-`, or none: from standard input, one a line
        #[arg(value_name = "ADDRESS", value_parser = whom)]
        clients: Vec<Whom>,
        /// Print every prefix of a map and its region instead; without a name, of the map `world`
        #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "world")]
        #[arg(conflicts_with = "clients")]
        map: Option<String>,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
        /// How to print.
        #[command(flatten)]
        format: Format,
    },
    /// Run scenarios: scripts that say what happens and what must be answered
    ///
    /// UPDATE=1 in the environment rewrites what is expected. docs/SCENARIOS.md teaches the format.
    Test {
        /// Scenario files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Publish the zones of this machine to the whole fleet, as a new version
    ///
    /// Checks them, shows what changes (files, pools, endpoints, names, and the answers in each region), stores them
    /// in the fleet, and waits for the servers to say that they serve them. A server that finds them wrong keeps what
    /// it has, and says so.
    Publish {
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
        /// How it is done.
        #[command(flatten)]
        publication: Publication,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Make an older version of the published zones current again
    ///
    /// It becomes a new version: history only grows.
    Rollback {
        /// The version to return to [default: the one before the newest]
        version: Option<u64>,
        /// How it is done.
        #[command(flatten)]
        publication: Publication,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
    },
    /// List the versions of the zones that were published: who, when, why
    History {
        /// At most so many, newest first
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
        /// How to print.
        #[command(flatten)]
        format: Format,
    },
    /// Keys of zones that are signed with DNSSEC: make, show and roll them
    ///
    /// docs/DNSSEC.md teaches it step by step.
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: Keys,
    },
    /// Show a whole small world on this machine: three regions, three endpoints to stop and start
    Demo {
        /// Port for DNS on 127.0.0.1
        #[arg(long, default_value_t = 5300)]
        port: u16,
        /// First port to try for the endpoints' HTTP
        #[arg(long, default_value_t = 8080)]
        http_port: u16,
    },
    /// Show what a running server serves, hears and holds
    Status {
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
        /// How to print.
        #[command(flatten)]
        format: Format,
    },
    /// Show what happens at a running server, as it happens: verdicts that turn, and why
    ///
    /// One line for each event, until it is interrupted or the server stops. Times are in UTC. With --format json
    /// each event is an object on a line of its own.
    Watch {
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
        /// How to print.
        #[command(flatten)]
        format: Format,
    },
    /// Post a test event to whoever is told of what happens, and show what is replied
    ///
    /// As [notify] of the configuration says, and from this machine, but without the running server. Fails (status 1) if
    /// it is not taken.
    Notify {
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Take an endpoint out, whatever its checks say
    Drain(Endpoint),
    /// Leave a drained or forced endpoint to its checks again
    Release(Endpoint),
    /// Fix the verdict of an endpoint, whatever its checks say
    Force {
        /// What it shall be
        verdict: Forced,
        /// Whose.
        #[command(flatten)]
        endpoint: Endpoint,
    },
    /// Say that an application lives, to the probe of a running server
    ///
    /// For cron jobs and applications on the same machine: the endpoint needs a monitor of type push, and goes down when
    /// no beat came for its `within`. From elsewhere: POST /beat/ENDPOINT, on the port that [beats] opens.
    Beat {
        /// The endpoint that it serves
        #[command(flatten)]
        endpoint: Endpoint,
        /// Only for this monitor [default: all of the endpoint that await beats]
        #[arg(long, value_name = "NAME")]
        monitor: Option<String>,
        /// How much it wants of what it gets: up, drain, down, or a share as 75% [default: up]
        #[arg(long, value_name = "WORD")]
        say: Option<String>,
    },
    /// Use the recovered members of a pool again (failback = "manual")
    Failback {
        /// The pool
        pool: String,
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Make a running server read its files again, and show what it says to them
    Reload {
        /// Which machine.
        #[command(flatten)]
        config: ConfigOption,
    },
}

/// How zones are published.
#[derive(Debug, Args)]
pub struct Publication {
    /// Why, for `windrose history`
    #[arg(long, short, default_value = "", hide_default_value = true)]
    pub message: String,
    /// Who, for `windrose history` [default: USER@this machine]
    #[arg(long)]
    pub who: Option<String>,
    /// How long to wait for the servers to serve it
    #[arg(long, value_name = "DURATION", value_parser = seconds, default_value = "10s")]
    pub wait: Duration,
    /// How to print.
    #[command(flatten)]
    pub format: Format,
}

/// The configuration file, as an argument.
#[derive(Debug, Args)]
pub struct Config {
    /// This machine's configuration [default: config/windrose.toml, if there is one]
    #[arg(value_name = "CONFIG")]
    pub path: Option<PathBuf>,
}

/// The configuration file, as an option.
#[derive(Debug, Args)]
pub struct ConfigOption {
    /// This machine's configuration [default: config/windrose.toml, if there is one]
    #[arg(long = "config", short = 'c', value_name = "CONFIG")]
    pub path: Option<PathBuf>,
}

/// How facts are printed.
#[derive(Debug, Args)]
pub struct Format {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Output,
}

/// How facts are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// zones/*.toml
    Zones,
    /// config/windrose.toml
    Config,
}

/// Who is to be located.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// An address, or a subnet.
    Client(IpNet),
    /// Whoever standard input names, one a line.
    Input,
}

/// An endpoint of a running server.
#[derive(Debug, Args)]
pub struct Endpoint {
    /// The endpoint
    #[arg(value_name = "ENDPOINT")]
    pub name: String,
    /// Which machine.
    #[command(flatten)]
    pub config: ConfigOption,
}

/// A verdict to fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Forced {
    /// Answer with it even if its checks fail
    Up,
    /// Do not answer with it even if its checks pass
    Down,
}

fn whom(text: &str) -> Result<Whom, String> {
    if text == "-" { Ok(Whom::Input) } else { client(text).map(Whom::Client) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    number.map(Duration::from_secs).ok_or_else(|| "seconds with their unit, as 10s".into())
}

/// An address, or a prefix with its other bits cleared.
///
/// # Errors
/// What was expected.
pub fn client(text: &str) -> Result<IpNet, String> {
    let prefix = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    prefix
        .map(|prefix| prefix.trunc())
        .map_err(|_| "an address like 198.51.100.7, or a subnet like 198.51.100.0/24".into())
}

const LOCATE_EXAMPLES: &str = "\
Examples:
  windrose locate 198.51.100.7 2001:db8::/56
  cut -d' ' -f1 access.log | sort -u | windrose locate --format json
  windrose locate --map legal        every prefix of the map `legal` ([maps.legal] of the zones)";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_client_is_an_address_or_a_subnet() {
        assert_eq!(client("198.51.100.7"), Ok("198.51.100.7/32".parse().expect("a prefix")));
        assert_eq!(client("198.51.100.7/24"), Ok("198.51.100.0/24".parse().expect("a prefix")));
        assert!(client("example.org").is_err());
    }
}
