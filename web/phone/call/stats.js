// @ts-check
/**
 * The reports of a connection's statistics; none if it is closed meanwhile, for which Firefox rejects.
 *
 * @param {RTCPeerConnection} connection
 * @returns {Promise<any[]>}
 */
export async function statsOf(connection) {
  try {
    return [...(await connection.getStats()).values()];
  } catch (error) {
    // Its connectionState may not say so yet.
    if (error instanceof DOMException && error.name === 'InvalidStateError') return [];
    throw error;
  }
}
