//! When a certificate ends.

use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

/// The end of a certificate's validity, in seconds since 1970; `None` if it cannot be read.
pub(super) fn end_of(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_string()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 5, 6);
        let certificate = params.self_signed(&key).unwrap();
        let sixth_of_may_2031 = 1_935_792_000;
        assert_eq!(end_of(certificate.der()), Some(sixth_of_may_2031));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        assert_eq!(end_of(&CertificateDer::from(b"not DER".to_vec())), None);
    }
}
