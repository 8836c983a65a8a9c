//! Logging in by a `.creds` file, as `nsc` makes them: an operator vouches for an account, the account for a user.

use std::fs;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::nats::Nats;
use super::{Credentials, Tls, is_heard_only_as, linked, start_as};

#[tokio::test]
async fn a_creds_file_lets_in_and_only_on_its_own_subject() {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let no_limits = json!({ "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1 });
    let account_claims =
        json!({ "type": "account", "version": 2, "limits": no_limits, "default_permissions": {} });
    let user_claims = json!({
        "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
        "pub": { "allow": ["windrose.v1.report.eu.ams-1"] }, "sub": {},
    });
    let nats = Nats::start_as(&format!(
        "operator: \"{}\"\nresolver: MEMORY\nresolver_preload: {{ {}: \"{}\" }}",
        token(&operator, &operator, json!({ "type": "operator", "version": 2 })),
        account.public_key(),
        token(&operator, &account, account_claims),
    ));
    let directory = tempfile::tempdir().expect("a directory can be made");
    let creds = directory.path().join("ams-1.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        token(&account, &user, user_claims),
        user.seed().expect("it has a seed"),
    );
    fs::write(&creds, text).expect("it can be written");

    let fleet = start_as(&nats.address(), Some(Credentials::File(creds)), Tls::default()).await;
    linked(&fleet, true).await;
    is_heard_only_as(&fleet, "ams-1").await;
}

/// What `issuer` vouches for about `subject`, signed (JWT, `ed25519-nkey`).
fn token(issuer: &KeyPair, subject: &KeyPair, nats: Value) -> String {
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let claims = json!({
        "jti": "test", "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": nats,
    });
    let said = format!("{}.{}", part(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(claims));
    let signature = issuer.sign(said.as_bytes()).expect("it can sign");
    format!("{said}.{}", BASE64URL_NOPAD.encode(&signature))
}
