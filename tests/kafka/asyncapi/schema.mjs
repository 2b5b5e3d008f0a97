// Prints the official JSON Schema of AsyncAPI 3.0.0 documents.
import { readFileSync } from "node:fs";

const schema = "./node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json";
process.stdout.write(readFileSync(schema, "utf8"));
