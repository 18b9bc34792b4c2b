import { Command } from 'commander';
import { availableParts, sectionSchemas } from '../wiring.ts';
import type { CliCommand } from './command.ts';
import { EXIT, type ExitCode, type Io, printJson } from './io.ts';
import { SCHEMA_NAMES, schemaOf } from './schema.ts';

export function schemaCommand(): CliCommand {
  const command = new Command('schema')
    .description('JSON Schema of a file, for editors')
    .argument('[name]', SCHEMA_NAMES.join(', '));
  return { command, run: (io, _options, [name]) => Promise.resolve(schema(io, name)) };
}

function schema(io: Io, name: unknown): ExitCode {
  if (typeof name === 'string') {
    printJson(io, schemaOf(name, { ...availableParts(), sections: sectionSchemas() }));
    return EXIT.ok;
  }
  io.stderr.write(
    `Which one? edge-dispatcher schema <name>, with one of:\n${SCHEMA_NAMES.map((one) => `  ${one}\n`).join('')}`,
  );
  return EXIT.usage;
}
