use std::borrow::Cow;

use super::{Class, FilterType, Skipped};
use crate::ProtocolVersion;
use crate::status::EstimateStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Writer, air_sync, get_item_estimate as tags,
};

/// One collection of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstimateCollection<'a> {
    /// The current Sync key.
    pub sync_key: Cow<'a, str>,
    /// The collection's id.
    pub id: Cow<'a, str>,
    /// Its class; required up to 12.1.
    pub class: Option<Class>,
    /// How far back to look.
    pub filter: Option<FilterType>,
    /// How many recipients of the recipient cache count; no other collection has it. Sent from 14.0
    /// on only.
    pub max_items: Option<u32>,
}

/// A GetItemEstimate request (ASCMD 2.2.1.9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EstimateRequest<'a> {
    /// At most 1,000 (Status 103 above).
    pub collections: Vec<EstimateCollection<'a>>,
}

impl<'a> EstimateRequest<'a> {
    /// As a body. Class and FilterType stand in the collection up to 12.1, in Options from 14.0
    /// on.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let in_options = version >= ProtocolVersion::V14_0;
        let mut writer = Writer::new();
        writer
            .start(tags::GET_ITEM_ESTIMATE)
            .start(tags::COLLECTIONS);
        for collection in &self.collections {
            writer.start(tags::COLLECTION);
            if in_options {
                writer.element(air_sync::SYNC_KEY, &collection.sync_key);
                writer.element(tags::COLLECTION_ID, &collection.id);
                let has_options = collection.class.is_some() || collection.filter.is_some();
                if has_options || collection.max_items.is_some() {
                    writer.start(air_sync::OPTIONS);
                    if let Some(filter) = collection.filter {
                        writer.number(air_sync::FILTER_TYPE, filter.0);
                    }
                    if let Some(class) = collection.class {
                        writer.element(air_sync::CLASS, class.as_str());
                    }
                    if let Some(most) = collection.max_items {
                        writer.number(air_sync::MAX_ITEMS, most);
                    }
                    writer.end();
                }
            } else {
                if let Some(class) = collection.class {
                    writer.element(tags::CLASS, class.as_str());
                }
                writer.element(tags::COLLECTION_ID, &collection.id);
                if let Some(filter) = collection.filter {
                    writer.number(air_sync::FILTER_TYPE, filter.0);
                }
                writer.element(air_sync::SYNC_KEY, &collection.sync_key);
            }
            writer.end();
        }
        writer.end().end();
        writer.finish()
    }

    /// From a body of any version.
    ///
    /// # Errors
    /// When it is no GetItemEstimate request.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::GET_ITEM_ESTIMATE)?;
        let mut request = Self::default();
        while let Some(collections) = reader.child(root)? {
            while let Some(element) = reader.child(collections)? {
                request
                    .collections
                    .push(request_collection(&mut reader, element)?);
            }
        }
        if request.collections.is_empty() {
            return Err(reader.missing(tags::GET_ITEM_ESTIMATE, tags::COLLECTIONS));
        }
        reader.finish()?;
        Ok(request)
    }
}

fn request_collection<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<EstimateCollection<'a>, DecodeError> {
    let (mut sync_key, mut id, mut class, mut filter) = (None, None, None, None);
    let mut max_items = None;
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            air_sync::SYNC_KEY => sync_key = Some(reader.text(element)?),
            tags::COLLECTION_ID => id = Some(reader.text(element)?),
            tags::CLASS => class = reader.optional(element, estimate_class)?,
            air_sync::FILTER_TYPE => filter = reader.optional(element, Reader::number)?,
            air_sync::OPTIONS => {
                while let Some(option) = reader.child(element)? {
                    match option.tag {
                        air_sync::FILTER_TYPE => {
                            filter = reader.optional(option, Reader::number)?
                        }
                        air_sync::MAX_ITEMS => {
                            max_items = reader.optional(option, Reader::number)?
                        }
                        air_sync::CLASS => {
                            class = reader.optional(option, estimate_class)?;
                        }
                        _ => reader.skip(option)?,
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    let sync_key = sync_key.ok_or_else(|| reader.missing(parent.tag, air_sync::SYNC_KEY))?;
    let id = id.ok_or_else(|| reader.missing(parent.tag, tags::COLLECTION_ID))?;
    Ok(EstimateCollection {
        sync_key,
        id,
        class,
        filter: filter.map(FilterType),
        max_items,
    })
}

fn estimate_class(reader: &mut Reader<'_>, element: Element) -> Result<Class, DecodeError> {
    reader.parse(element, "a class", Class::parse)
}

/// What a server estimates for one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate<'a> {
    /// Whether it could.
    pub status: EstimateStatus,
    /// The collection's id.
    pub id: Option<Cow<'a, str>>,
    /// How many items a Sync would bring.
    pub count: Option<u32>,
}

/// A GetItemEstimate answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstimateAnswer<'a> {
    /// A failure of the whole command.
    pub status: Option<EstimateStatus>,
    /// One per collection of the request.
    pub estimates: Vec<Estimate<'a>>,
    /// Responses that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> EstimateAnswer<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When an id cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::GET_ITEM_ESTIMATE);
        if let Some(status) = self.status {
            writer.number(tags::STATUS, status.code());
        }
        for estimate in &self.estimates {
            writer
                .start(tags::RESPONSE)
                .number(tags::STATUS, estimate.status.code());
            if let Some(id) = &estimate.id {
                writer
                    .start(tags::COLLECTION)
                    .element(tags::COLLECTION_ID, id);
                if let Some(count) = estimate.count {
                    writer.number(tags::ESTIMATE, count);
                }
                writer.end();
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no GetItemEstimate answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::GET_ITEM_ESTIMATE)?;
        let mut answer = Self {
            status: None,
            estimates: Vec::new(),
            skipped: Skipped::default(),
        };
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => {
                    let code = reader.optional(element, Reader::number)?;
                    answer.status = code.map(EstimateStatus::from_code);
                }
                tags::RESPONSE => {
                    let read = answer.skipped.item(&mut reader, element, estimate)?;
                    answer.estimates.extend(read);
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(answer)
    }
}

fn estimate<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<Estimate<'a>, DecodeError> {
    let (mut status, mut id, mut count) = (None, None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::STATUS => status = reader.optional(element, Reader::number)?,
            tags::COLLECTION => {
                while let Some(field) = reader.child(element)? {
                    match field.tag {
                        tags::COLLECTION_ID => id = reader.optional(field, Reader::text)?,
                        tags::ESTIMATE => count = reader.optional(field, Reader::number)?,
                        _ => reader.skip(field)?,
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    let status = status.ok_or_else(|| reader.missing(tags::RESPONSE, tags::STATUS))?;
    Ok(Estimate {
        status: EstimateStatus::from_code(status),
        id,
        count,
    })
}
