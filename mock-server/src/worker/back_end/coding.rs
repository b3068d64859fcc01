//! Content codings of request bodies (RFC 9110 8.4).

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use crate::headers::RequestHeader;
use crate::link::{MAX_BODY, WireRequest};

/// A body as it was before it was coded, or the HTTP status that refuses it. A body that was not coded is
/// bounded by the front door, one that was coded is bounded here.
pub(crate) fn decoded(request: &WireRequest) -> Result<Cow<'_, [u8]>, u16> {
    /// As the front door answers a body above its bound.
    const TOO_LARGE: u16 = 404;
    let body = &request.body;
    let coding = request.header(RequestHeader::ContentEncoding);
    let coding = coding.unwrap_or_default().trim().to_ascii_lowercase();
    match coding.as_str() {
        "" | "identity" => return Ok(Cow::Borrowed(body)),
        // A Ping of only a head has nothing that could be coded.
        "gzip" | "x-gzip" if body.is_empty() => return Ok(Cow::Borrowed(body)),
        "gzip" | "x-gzip" => {}
        _ => return Err(415),
    }
    let mut plain = Vec::new();
    let mut reader = MultiGzDecoder::new(body.as_slice()).take(MAX_BODY + 1);
    reader.read_to_end(&mut plain).map_err(|_| 400_u16)?;
    if plain.len() as u64 > MAX_BODY {
        return Err(TOO_LARGE);
    }
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn request(coding: Option<&str>, body: Vec<u8>) -> WireRequest {
        let coding = coding.map(|text| (RequestHeader::ContentEncoding, text.to_owned()));
        WireRequest {
            method: "POST".to_owned(),
            uri: "/".to_owned(),
            headers: coding.into_iter().collect(),
            body,
            certificate_user: None,
        }
    }

    #[test]
    fn bodies_are_decoded_or_refused() {
        let good = gzip(b"a body");
        let mut damaged = good.clone();
        damaged[12] ^= 0xFF;
        let truncated = good[..good.len() - 1].to_vec();
        let trailing = [good.clone(), b"rest".to_vec()].concat();
        let twice = [good.clone(), good.clone()].concat();
        for (coding, body, expected) in [
            (None, b"a body".to_vec(), Ok(&b"a body"[..])),
            (Some("identity"), b"a body".to_vec(), Ok(b"a body")),
            (Some("gzip"), good.clone(), Ok(b"a body")),
            (Some(" GZIP "), good.clone(), Ok(b"a body")),
            (Some("x-gzip"), good.clone(), Ok(b"a body")),
            (Some("gzip"), twice, Ok(b"a bodya body")),
            (Some("gzip"), Vec::new(), Ok(b"")),
            (Some("gzip"), b"a body".to_vec(), Err(400)),
            (Some("gzip"), damaged, Err(400)),
            (Some("gzip"), truncated, Err(400)),
            (Some("gzip"), trailing, Err(400)),
            (Some("deflate"), good.clone(), Err(415)),
            (Some("br"), good.clone(), Err(415)),
            (Some("gzip, gzip"), good.clone(), Err(415)),
        ] {
            let request = request(coding, body);
            let found = decoded(&request);
            assert_eq!(
                found.as_deref().map_err(|status| *status),
                expected,
                "{coding:?}"
            );
        }
    }

    #[test]
    fn decoded_bodies_are_bounded() {
        let largest = vec![0; MAX_BODY as usize];
        let most = request(Some("gzip"), gzip(&largest));
        assert_eq!(decoded(&most).unwrap().len(), largest.len());
        let more = request(Some("gzip"), gzip(&[&largest[..], &[0]].concat()));
        assert_eq!(decoded(&more), Err(404));
    }
}
