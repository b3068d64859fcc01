use std::borrow::Cow;

use crate::status::ValidateCertStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, validate_cert as tags};

/// A ValidateCert request (ASCMD 2.2.1.22). Certificates are X.509 in base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValidateCertRequest<'a> {
    /// The certificates of the issuers.
    pub chain: Vec<Cow<'a, str>>,
    /// The certificates in question.
    pub certificates: Vec<Cow<'a, str>>,
    /// Whether revocation lists are to be asked.
    pub check_crl: bool,
}

impl<'a> ValidateCertRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::VALIDATE_CERT);
        for (tag, list) in [
            (tags::CERTIFICATE_CHAIN, &self.chain),
            (tags::CERTIFICATES, &self.certificates),
        ] {
            if !list.is_empty() {
                writer.start(tag);
                for certificate in list {
                    writer.element(tags::CERTIFICATE, certificate);
                }
                writer.end();
            }
        }
        writer.flag(tags::CHECK_CRL, self.check_crl).end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no ValidateCert request, or names no certificate.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::VALIDATE_CERT)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::CERTIFICATE_CHAIN => read_list(&mut reader, element, &mut request.chain)?,
                tags::CERTIFICATES => {
                    read_list(&mut reader, element, &mut request.certificates)?;
                }
                tags::CHECK_CRL => {
                    let check = reader.optional(element, Reader::flag)?;
                    request.check_crl = check.unwrap_or_default();
                }
                _ => reader.skip(element)?,
            }
        }
        if request.certificates.is_empty() {
            return Err(reader.missing(tags::VALIDATE_CERT, tags::CERTIFICATES));
        }
        reader.finish()?;
        Ok(request)
    }
}

fn read_list<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
    list: &mut Vec<Cow<'a, str>>,
) -> Result<(), DecodeError> {
    while let Some(element) = reader.child(parent)? {
        if element.tag == tags::CERTIFICATE {
            list.extend(reader.optional(element, Reader::text)?);
        } else {
            reader.skip(element)?;
        }
    }
    Ok(())
}

/// A ValidateCert answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidateCertAnswer {
    /// The command's status.
    pub status: ValidateCertStatus,
    /// One per certificate of the request.
    pub certificates: Vec<ValidateCertStatus>,
}

impl ValidateCertAnswer {
    /// As a body.
    ///
    /// # Errors
    /// Never in practice: the document holds numbers only.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::VALIDATE_CERT)
            .number(tags::STATUS, self.status.code());
        for status in &self.certificates {
            writer
                .start(tags::CERTIFICATE)
                .number(tags::STATUS, status.code())
                .end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no ValidateCert answer, or a status is missing.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::VALIDATE_CERT)?;
        let mut status = None;
        let mut certificates = Vec::new();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::CERTIFICATE => certificates.push(certificate(&mut reader, element)?),
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::VALIDATE_CERT, tags::STATUS))?;
        reader.finish()?;
        Ok(Self {
            status: ValidateCertStatus::from_code(status),
            certificates,
        })
    }
}

fn certificate(
    reader: &mut Reader<'_>,
    parent: Element,
) -> Result<ValidateCertStatus, DecodeError> {
    let mut status = None;
    while let Some(element) = reader.child(parent)? {
        if element.tag == tags::STATUS {
            status = reader.optional(element, Reader::number)?;
        } else {
            reader.skip(element)?;
        }
    }
    let status = status.ok_or_else(|| reader.missing(tags::CERTIFICATE, tags::STATUS))?;
    Ok(ValidateCertStatus::from_code(status))
}
