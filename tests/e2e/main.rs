//! The real binary, real sockets, real HTTP endpoints. Each test makes its own small world on loopback, with
//! ports that the system chose.

mod acme;
mod beats;
mod dnssec;
mod encrypted;
mod endpoint;
mod failover;
mod geography;
mod locate;
mod metrics;
mod notify;
mod operate;
mod query;
mod reload;
mod resolvers;
mod restart;
mod sandbox;
mod secondaries;
mod service;
mod signed_transfer;
mod transfer;
mod upgrade;
mod whereabouts;
mod world;

#[path = "../../tools/geo/mmdb.rs"]
mod mmdb;
