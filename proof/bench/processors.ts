import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** If possible, the load gets one processor and the measured server another one. */
const canPin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;

/** Keeps this process and its children off the server's processor. */
export function pinLoad(): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', '0', `${process.pid}`]);
}

/**
 * Returns the beginning of a command line that runs a program on the server's processor, or on all.
 */
export function pinServer(processors: 'one' | 'all'): string[] {
  if (!canPin) return [];
  return ['taskset', '-c', processors === 'one' ? '1' : '0-1'];
}

/** Describes how load and server share the machine. */
export function describePinning(): string {
  return canPin ? 'server and load on one processor each' : 'server and load on any processor';
}

export interface Usage {
  /** User and system time in seconds. */
  processorTime: number;
  /** Resident memory in MiB. */
  memory: number;
}

/** Reads the usage of a process and its children; undefined on a system without /proc. */
export function readUsage(pid: number): Usage | undefined {
  try {
    const usages = [pid, ...listChildren(pid)].map(readProcess);
    return {
      processorTime: usages.reduce((sum, { processorTime }) => sum + processorTime, 0),
      memory: usages.reduce((sum, { memory }) => sum + memory, 0),
    };
  } catch {
    return undefined;
  }
}

function listChildren(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number),
  );
}

function readProcess(pid: number): Usage {
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((task) =>
    Number.parseInt(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8'), 10),
  );
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return {
    processorTime: nanoseconds.reduce((sum, time) => sum + time, 0) / 1e9,
    memory: Number(kibibytes) / 1024,
  };
}
