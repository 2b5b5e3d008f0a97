//! What entries of billing controls may be, for the document. The rules themselves are beside it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Defines the schema of an entry.
macro_rules! entry {
    ($(#[$doc:meta])* $name:ident, $title:literal, $schema:tt) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

entry! {
    /// Buys a quantity when the balance of a feature falls below the threshold.
    AutoTopup, "AutoTopupParams", {
        "type": "object",
        "required": ["feature_id", "threshold", "quantity"],
        "properties": {
            "feature_id": {
                "type": "string", "minLength": 1, "maxLength": 255,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
            },
            "enabled": {"type": "boolean", "default": false},
            "threshold": {
                "type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000_000_i64
            },
            "quantity": {
                "type": "number", "minimum": 1, "exclusiveMaximum": 1_000_000_000_000_i64
            },
            "purchase_limit": {
                "type": "object",
                "required": ["interval", "limit"],
                "properties": {
                    "interval": {"enum": ["hour", "day", "week", "month"]},
                    "interval_count": {
                        "type": "integer", "minimum": 1, "maximum": u32::MAX, "default": 1
                    },
                    "limit": {"type": "integer", "minimum": 1, "maximum": u32::MAX},
                    "count": {
                        "description": "Not more than the limit. It is not shown.",
                        "type": "integer", "minimum": 0, "maximum": u32::MAX
                    }
                }
            },
            "invoice_mode": {"type": "boolean"}
        }
    }
}

entry! {
    /// Bounds what may be used over the balance.
    SpendLimit, "SpendLimitParams", {
        "type": "object",
        "properties": {
            "feature_id": {
                "type": "string", "minLength": 1, "maxLength": 255,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
            },
            "enabled": {"type": "boolean", "default": false},
            "limit_type": {"enum": ["absolute", "usage_percentage"]},
            "overage_limit": {
                "type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000_000_i64
            },
            "skip_overage_billing": {"type": "boolean"}
        },
        "dependentRequired": {
            "overage_limit": ["feature_id"], "skip_overage_billing": ["feature_id"]
        }
    }
}

entry! {
    /// Bounds what may be used in an interval.
    UsageLimit, "UsageLimitParams", {
        "type": "object",
        "required": ["feature_id", "limit", "interval"],
        "properties": {
            "feature_id": {
                "type": "string", "minLength": 1, "maxLength": 255,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
            },
            "enabled": {"type": "boolean", "default": true},
            "limit": {
                "type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000_000_i64
            },
            "interval": {"enum": ["day", "week", "month", "year"]},
            "anchor": {"enum": ["billing_cycle", "utc"]},
            "filter": {
                "type": "object",
                "required": ["properties"],
                "properties": {
                    "properties": {
                        "type": "object",
                        "minProperties": 1,
                        "maxProperties": 4,
                        "propertyNames": {
                            "minLength": 1, "maxLength": 64, "pattern": "^[^\\u0000]*$"
                        },
                        "additionalProperties": {
                            "anyOf": [
                                {
                                    "type": "string", "minLength": 1, "maxLength": 128,
                                    "pattern": "^[^\\u0000]*$"
                                },
                                {"type": "number"},
                                {"type": "boolean"}
                            ]
                        }
                    }
                }
            }
        }
    }
}

entry! {
    /// Tells when a level is reached.
    UsageAlert, "UsageAlertParams", {
        "type": "object",
        "required": ["threshold", "threshold_type"],
        "properties": {
            "feature_id": {
                "type": "string", "minLength": 1, "maxLength": 255,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
            },
            "enabled": {"type": "boolean", "default": true},
            "threshold": {
                "type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000_000_i64
            },
            "threshold_type": {
                "enum": ["usage", "usage_percentage", "remaining", "remaining_percentage"]
            },
            "name": {"type": "string", "maxLength": 255, "pattern": "^[^\\u0000]*$"}
        },
        "if": {
            "properties": {
                "threshold_type": {"enum": ["usage_percentage", "remaining_percentage"]}
            }
        },
        "then": {"properties": {"threshold": {"maximum": 100}}}
    }
}

entry! {
    /// Whether usage of a feature may go over the balance.
    OverageAllowed, "OverageAllowedParams", {
        "type": "object",
        "required": ["feature_id"],
        "properties": {
            "feature_id": {
                "type": "string", "minLength": 1, "maxLength": 255,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
            },
            "enabled": {"type": "boolean", "default": false}
        }
    }
}
