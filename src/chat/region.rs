//! The vendor's host for each region.

use crate::api::Region;

/// The REST host of a region's data centre, in lower case and without a port; it serves HTTPS on 443.
///
/// An account lives in exactly one region; any other host answers with code 60026 or 70020. Source: "REST API
/// Overview", which no longer lists Mumbai although the host was published for years.
#[must_use]
pub fn host(region: Region) -> &'static str {
    match region {
        Region::China => "console.tim.qq.com",
        Region::Singapore => "adminapisgp.im.qcloud.com",
        Region::Seoul => "adminapikr.im.qcloud.com",
        Region::Tokyo => "adminapijpn.im.qcloud.com",
        Region::Frankfurt => "adminapiger.im.qcloud.com",
        Region::SiliconValley => "adminapiusa.im.qcloud.com",
        Region::Jakarta => "adminapiidn.im.qcloud.com",
        Region::Mumbai => "adminapiind.im.qcloud.com",
    }
}
