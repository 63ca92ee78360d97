//! What a provider's list of models says: which of them are free, and what each can do.

use super::capabilities::{Capabilities, Images};

/// A list of models, as far as this program has a use for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelList {
    /// Those that cost nothing.
    pub free: Vec<Listed>,
    /// The ids of those that cost money: clients who ask for one are told so.
    pub paid: Vec<String>,
}

/// A model on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The provider's own id.
    pub id: String,
    /// What the list says that it can do.
    pub says: Said,
}

/// What a list says of a model; it counts more than the row. `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Tokens of conversation and answer together.
    pub window: Option<u64>,
    /// The most tokens of one answer.
    pub max_output: Option<u32>,
    /// Whether it sees images.
    pub images: Option<bool>,
    /// Whether it can call tools.
    pub tools: Option<bool>,
    /// Whether it can be made to call one.
    pub forced_calls: Option<bool>,
    /// Whether it can write JSON on demand.
    pub json: Option<bool>,
    /// Whether it can write JSON that matches a schema.
    pub schema: Option<bool>,
    /// Whether it can be told how much to think.
    pub efforts: Option<bool>,
}

impl ModelList {
    /// A list that has nothing but ids.
    pub(super) fn of_ids(ids: Vec<String>) -> Self {
        let free = ids.into_iter().map(|id| Listed { id, says: Said::default() }).collect();
        Self { free, paid: Vec::new() }
    }
}

impl Said {
    /// What the model can do if it can do `otherwise` as far as the list says nothing.
    pub(crate) fn over(self, otherwise: &Capabilities) -> Capabilities {
        let images = match self.images {
            Some(false) => Images::None,
            // How they may be sent is the row's to say.
            Some(true) if otherwise.images == Images::None => Images::Inline,
            _ => otherwise.images,
        };
        let tools = self.tools.unwrap_or(otherwise.tools);
        let json = self.json.unwrap_or(otherwise.json);
        Capabilities {
            window: self.window.unwrap_or(otherwise.window),
            max_output: self.max_output.unwrap_or(otherwise.max_output),
            images,
            tools,
            forced_calls: tools && self.forced_calls.unwrap_or(otherwise.forced_calls),
            json,
            schema: self.schema.unwrap_or(otherwise.schema),
            efforts: if self.efforts == Some(false) { &[] } else { otherwise.efforts },
            ..otherwise.clone()
        }
    }
}
