import './source-maps.ts';

const { runJobCommand } = await import('./job-command.ts');

await runJobCommand(process.argv.slice(2));
