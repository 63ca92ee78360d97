//! How large the schemas of one request may be.

use serde_json::value::RawValue;

use super::empty_objects::mend;
use crate::middle::Json;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::wrong;

/// Counts the bytes of all schemas: cleaning one costs time.
#[derive(Default)]
pub(super) struct SchemaBytes(usize);

impl SchemaBytes {
    const MOST: usize = 1024 * 1024;

    /// `schema`, which stands at the place `at`, with its empty objects as objects.
    pub(super) fn add(&mut self, at: &str, schema: &RawValue) -> Result<Json, ApiError> {
        self.count(at, schema)?;
        Ok(mend(schema))
    }

    /// Counts `schema`, which stands at the place `at`.
    pub(super) fn count(&mut self, at: &str, schema: &RawValue) -> Result<(), ApiError> {
        self.0 += schema.get().len();
        if self.0 > Self::MOST {
            return Err(wrong(
                at,
                format!("makes the schemas of this request larger than {} bytes", Self::MOST),
            ));
        }
        Ok(())
    }
}
