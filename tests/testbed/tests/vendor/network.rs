//! TLS, and a vendor that cannot be reached.

use testbed::Vendor;

use crate::{
    caller::{CLEAR, Caller},
    furnished, seats, vendor,
};

/// A caller that trusts this vendor's authority and no other.
fn trusting(vendor: &Vendor) -> Caller {
    let ca = std::fs::read(vendor.ca_pem().unwrap()).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap();
    Caller { http, ..Caller::of(vendor) }
}

#[tokio::test]
async fn over_tls_it_is_the_same_vendor() {
    let vendor = furnished(Vendor::start_tls().unwrap());
    assert!(vendor.url().starts_with("https://127.0.0.1:"));
    assert_eq!(trusting(&vendor).code(CLEAR).await, 0);
    assert_eq!(seats(&vendor), 0);
}

#[tokio::test]
async fn a_caller_that_does_not_know_the_authority_sends_nothing() {
    let vendor = furnished(Vendor::start_tls().unwrap());
    assert!(Caller::of(&vendor).send(CLEAR).await.unwrap_err().is_connect());
    assert!(vendor.journal().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not_accepted() {
    let vendor = furnished(Vendor::start_tls_as(&["elsewhere.example"]).unwrap());
    let error = format!("{:?}", trusting(&vendor).send(CLEAR).await.unwrap_err());
    assert!(error.contains("NotValidForName"), "{error}");
    assert!(vendor.journal().is_empty() && vendor.connections() == 1);
}

#[tokio::test]
async fn a_vendor_that_is_down_refuses_connections_and_comes_back_at_the_same_port() {
    let vendor = vendor();
    let caller = Caller::of(&vendor);
    assert_eq!(caller.code(CLEAR).await, 0);
    vendor.go_down();
    assert!(Caller::of(&vendor).send(CLEAR).await.unwrap_err().is_connect());
    vendor.come_back();
    assert_eq!(Caller::of(&vendor).code(CLEAR).await, 0);
    assert_eq!(vendor.clears().len(), 2);
}
