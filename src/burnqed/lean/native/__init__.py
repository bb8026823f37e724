"""Native Lean: any Pantograph executable with any Lake project, found, audited, shut in and started."""
